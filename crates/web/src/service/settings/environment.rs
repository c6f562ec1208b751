//! Reading settings from environment variables.

use std::{collections::BTreeMap, ffi::OsString, fmt, ops::RangeInclusive};

use serde::de::{
    Deserialize, Deserializer, Error as _, Expected, IntoDeserializer, Unexpected, Visitor,
    value::SeqDeserializer,
};

/// Environment variables. A variable whose value is empty counts as unset.
#[derive(Clone)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The variables of this process.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub fn of_process() -> Self {
        Self::new(std::env::vars_os())
    }

    /// The given variables.
    pub fn new<T: Into<OsString>>(variables: impl IntoIterator<Item = (T, T)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self(variables.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// Reads settings.
    ///
    /// # Errors
    /// All values that are not valid. Each error names the variable and what is allowed; none shows the value, which may
    /// be a secret.
    pub fn read<T: FromEnvironment>(&self) -> Result<T, SettingsError> {
        let mut reader = Reader { environment: self, errors: Vec::new() };
        match T::read(&mut reader) {
            Some(settings) if reader.errors.is_empty() => Ok(settings),
            _ => Err(SettingsError(reader.errors)),
        }
    }
}

impl fmt::Debug for Environment {
    /// Shows the names only, as values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// Settings that can be read from environment variables. [`settings!`](crate::settings) implements it for a section; a
/// struct of several sections calls the methods of each.
pub trait FromEnvironment: Sized {
    /// Reads the settings. Returns `None` if a value is not valid; the reader has the error then.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;

    /// Describes the settings, in the order of the reference.
    fn sections() -> Vec<Section>;
}

/// Reads settings and collects the errors.
#[derive(Debug)]
pub struct Reader<'a> {
    environment: &'a Environment,
    errors: Vec<String>,
}

impl Reader<'_> {
    /// Reads one variable, or `default` if it is unset. Returns `None` after an error.
    pub fn get<T: for<'de> Deserialize<'de>>(
        &mut self,
        field: &str,
        default: Option<&str>,
        bounds: Option<&RangeInclusive<i64>>,
    ) -> Option<T> {
        let name = field.to_uppercase();
        let text = match self.environment.0.get(OsString::from(&name).as_os_str()) {
            None => Ok(default),
            Some(value) => value.to_str().map(Some).ok_or(Invalid("be UTF-8 text".to_owned())),
        };
        let value = text.and_then(|text| T::deserialize(Value { text, bounds }));
        value.map_err(|Invalid(requirement)| self.refuse(&name, &requirement)).ok()
    }

    /// Adds an error: `requirement` is what follows "must", for example "be set in production".
    pub fn refuse(&mut self, name: &str, requirement: &str) {
        self.errors.push(format!("{name} must {requirement}"));
    }
}

/// Settings that are not valid: for each one a sentence that names the variable and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError(Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [error] => f.write_str(error),
            errors => write!(f, "{} settings are not valid:\n  {}", errors.len(), errors.join("\n  ")),
        }
    }
}

impl std::error::Error for SettingsError {}

/// A group of settings.
#[derive(Clone, Debug)]
pub struct Section {
    /// The title, for people.
    pub title: &'static str,
    /// The settings, in the order of their fields.
    pub settings: Vec<Setting>,
}

/// The description of a setting.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The name of the variable.
    pub name: String,
    /// The value if the variable is unset.
    pub default: Option<String>,
    /// What the setting does and what is allowed, in Markdown on one line.
    pub description: String,
}

impl Setting {
    /// Describes a field of the type `T`.
    pub fn of<T: for<'de> Deserialize<'de>>(
        field: &str,
        default: Option<&str>,
        bounds: Option<&RangeInclusive<i64>>,
        documentation: &[&str],
    ) -> Self {
        let lines: Vec<_> = documentation.iter().map(|line| line.trim()).collect();
        // No restricted type allows this text, so the error describes what is allowed.
        let probe = T::deserialize(Value { text: Some("\0"), bounds });
        let allowed = probe.err().map(|Invalid(requirement)| format!(" Must {requirement}."));
        Self {
            name: field.to_uppercase(),
            default: default.map(str::to_owned),
            description: lines.join(" ") + &allowed.unwrap_or_default(),
        }
    }
}

/// The requirement that a value does not meet, to follow "must": "be a whole number from 1 to 10".
#[derive(Debug)]
struct Invalid(String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

/// The standard messages repeat the value; these describe what is allowed.
impl serde::de::Error for Invalid {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("be {expected}"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("be {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        match expected {
            [all @ .., last] if !all.is_empty() => Self(format!("be {} or {last}", all.join(", "))),
            names => Self(format!("be {}", names.concat())),
        }
    }
}

/// The text of a variable. Lists have commas between their items.
#[derive(Clone, Copy)]
struct Value<'a> {
    text: Option<&'a str>,
    /// The bounds of a number, or of the length of a text in bytes.
    bounds: Option<&'a RangeInclusive<i64>>,
}

impl<'a> Value<'a> {
    fn text(self) -> Result<&'a str, Invalid> {
        self.text.ok_or_else(|| Invalid("be set".to_owned()))
    }

    /// A whole number. `max` is the greatest of its type.
    fn number(self, max: impl TryInto<i64>) -> Result<i64, Invalid> {
        let whole = 0..=max.try_into().unwrap_or(i64::MAX);
        let bounds = self.bounds.unwrap_or(&whole);
        let number = self.text()?.parse().ok().filter(|number| bounds.contains(number));
        let (low, high) = (bounds.start(), bounds.end());
        number.ok_or_else(|| Invalid(format!("be a whole number from {low} to {high}")))
    }
}

macro_rules! numbers {
    ($($method:ident: $type:ty),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
            visitor.visit_i64(self.number(<$type>::MAX)?)
        })*
    };
}

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = Invalid;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        let text = self.text()?;
        if let Some(bounds) = self.bounds
            && !i64::try_from(text.len()).is_ok_and(|length| bounds.contains(&length))
        {
            return Err(Invalid(format!("have {} to {} bytes", bounds.start(), bounds.end())));
        }
        visitor.visit_str(text)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        let parsed = self.text()?.parse().map_err(|_| Invalid("be true or false".to_owned()));
        visitor.visit_bool(parsed?)
    }

    numbers!(deserialize_u8: u8, deserialize_u16: u16, deserialize_u32: u32, deserialize_u64: u64);
    numbers!(deserialize_i8: i8, deserialize_i16: i16, deserialize_i32: i32, deserialize_i64: i64);

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        if self.text.is_some() { visitor.visit_some(self) } else { visitor.visit_none() }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        let items = self.text.unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty());
        visitor.visit_seq(SeqDeserializer::new(items.map(|item| Value { text: Some(item), ..self })))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        let text = self.text().map_err(|_| Invalid::unknown_variant("", names))?;
        visitor.visit_enum(text.into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        f32 f64 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

impl IntoDeserializer<'_, Invalid> for Value<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Declares a section of settings: the one place where a setting is added.
///
/// Each field is an environment variable, named as the field in capitals. Its doc comment is its text in the reference;
/// `[low..=high]` bounds a number, or the length of a text in bytes; `= value` is its default. A field without a default
/// must be set, unless it is an `Option` or a `Vec`. The type is any that implements `serde::Deserialize` from a text: a
/// number, `bool`, `String`, `PathBuf`, an enum, a `Vec` of these.
///
/// ```
/// use groundwork_web::service::settings::Environment;
///
/// groundwork_web::settings! {
///     /// How mail is sent.
///     #[title = "Mail"]
///     pub struct MailSettings {
///         /// The name of the mail server.
///         mail_host: String = "localhost",
///         /// The number of attempts to send a mail.
///         mail_attempts: u32 [1..=10] = 3,
///         /// The address of the sender. If unset, no mail is sent.
///         mail_from: Option<String>,
///     }
/// }
///
/// let settings: MailSettings = Environment::new([("MAIL_ATTEMPTS", "5")]).read().unwrap();
/// assert_eq!((settings.mail_host.as_str(), settings.mail_attempts), ("localhost", 5));
/// let error = Environment::new([("MAIL_ATTEMPTS", "11")]).read::<MailSettings>().unwrap_err();
/// assert_eq!(error.to_string(), "MAIL_ATTEMPTS must be a whole number from 1 to 10");
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[doc = $documentation:literal])+
        #[title = $title:literal]
        $visibility:vis struct $section:ident {
            $($(#[doc = $text:literal])+ $field:ident: $type:ty $([$bounds:expr])? $(= $default:literal)?),+ $(,)?
        }
    ) => {
        $(#[doc = $documentation])+
        #[derive(Clone, Debug)]
        $visibility struct $section {
            $($(#[doc = $text])+ pub $field: $type,)+
        }

        impl $crate::service::settings::FromEnvironment for $section {
            fn read(reader: &mut $crate::service::settings::Reader<'_>) -> ::std::option::Option<Self> {
                $(let $field = reader.get::<$type>(
                    stringify!($field),
                    $crate::settings!(@option $($default.to_string().as_str())?),
                    $crate::settings!(@option $(&$bounds)?),
                );)+
                ::std::option::Option::Some(Self { $($field: $field?),+ })
            }

            fn sections() -> ::std::vec::Vec<$crate::service::settings::Section> {
                vec![$crate::service::settings::Section {
                    title: $title,
                    settings: vec![$($crate::service::settings::Setting::of::<$type>(
                        stringify!($field),
                        $crate::settings!(@option $($default.to_string().as_str())?),
                        $crate::settings!(@option $(&$bounds)?),
                        &[$($text),+],
                    )),+],
                }]
            }
        }
    };
    (@option) => { ::std::option::Option::None };
    (@option $value:expr) => { ::std::option::Option::Some($value) };
}
