//! Typed filters, ordering and search over the fields that an entity allows.
//!
//! `field=v`, `field__neq`, `__gt`, `__gte`, `__lt`, `__lte`, `__in` (comma-separated), `__ilike` (contains, without
//! case), `__isnull`; `order_by=-created_at,username`; `search=text`.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/note.rs"));
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> groundwork_core::Result<()> {
//! # let (_folder, db) = open().await?;
//! use groundwork_core::{ListQuery, PageRequest, Repository};
//!
//! let query = ListQuery::parse([("title__ilike", "one"), ("order_by", "-created_at")]).unwrap();
//! assert_eq!(Notes.list(db.reader(), &query, PageRequest::default()).await?.total, 0);
//!
//! let errors = ListQuery::<note::Entity>::parse([("secret", "1")]).unwrap_err();
//! assert_eq!(errors.into_vec()[0].code, "unknown_field");
//! # Ok(())
//! # }
//! ```

use std::str::FromStr;

use sea_orm::{
    ColumnTrait, ColumnType, Condition, DbBackend, EntityTrait, IdenStatic, Order, QueryFilter, QueryOrder,
    Select, Value,
    prelude::Expr,
    sea_query::{ExprTrait, LikeExpr, NullOrdering, extension::postgres::PgExpr},
};
use utoipa::openapi::{
    KnownFormat, RefOr, Schema, SchemaFormat,
    schema::{ArrayBuilder, ObjectBuilder, Type},
};
use uuid::Uuid;

use crate::{CommonBase, FieldErrors, Timestamp};

/// The maximum number of filters in a query. The depth of the SQL expression is the number of its filters.
pub const MAX_FILTERS: usize = 20;
/// The maximum number of values of `__in`.
pub const MAX_IN: usize = 100;
/// The maximum number of characters of a filter's value.
pub const MAX_VALUE: usize = 255;
/// The maximum number of characters of `search` and of a value of `__ilike`. The database compares them with every row.
pub const MAX_PATTERN: usize = 100;

/// An entity whose rows can be listed with filters.
pub trait Listable: CommonBase {
    /// The fields that callers may filter and order by. Text, boolean, integer, UUID and time columns are
    /// understood.
    const FIELDS: &'static [Self::Column];
    /// The text columns that `search` looks into; none by default.
    const SEARCH: &'static [Self::Column] = &[];
}

/// The filters, the order and the search of a list, as a caller requests them.
#[derive(Clone, Debug)]
pub struct ListQuery<E: EntityTrait> {
    filters: Vec<Filter<E::Column>>,
    order: Vec<(E::Column, Order)>,
    search: Option<(String, &'static [E::Column])>,
}

impl<E: EntityTrait> Default for ListQuery<E> {
    fn default() -> Self {
        Self { filters: Vec::new(), order: Vec::new(), search: None }
    }
}

#[derive(Clone, Debug)]
struct Filter<C> {
    column: C,
    op: Op,
    values: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Eq,
    Neq,
    Gt,
    Gte,
    Lt,
    Lte,
    In,
    Ilike,
    IsNull,
}

/// The operators: the suffix of the field's name, and its description. Used to parse and to document them.
const OPERATORS: [(&str, Op, &str); 9] = [
    ("", Op::Eq, "is this value"),
    ("__neq", Op::Neq, "is another value"),
    ("__gt", Op::Gt, "is greater"),
    ("__gte", Op::Gte, "is greater or equal"),
    ("__lt", Op::Lt, "is less"),
    ("__lte", Op::Lte, "is less or equal"),
    ("__in", Op::In, "is one of these values, at most 100"),
    ("__ilike", Op::Ilike, "contains this text, regardless of case"),
    ("__isnull", Op::IsNull, "is null, or is not null for `false`"),
];

impl Op {
    /// Returns whether the operator is defined for the type of `column`.
    fn fits<C: ColumnTrait>(self, column: C) -> bool {
        let kind = ValueKind::of(column);
        match self {
            Self::Eq | Self::Neq => true,
            Self::In => kind != ValueKind::Boolean,
            Self::Gt | Self::Gte | Self::Lt | Self::Lte => {
                !matches!(kind, ValueKind::Boolean | ValueKind::Uuid)
            }
            Self::Ilike => kind == ValueKind::Text,
            Self::IsNull => column.def().is_null(),
        }
    }

    fn schema(self, kind: ValueKind) -> Schema {
        match self {
            Self::In => ArrayBuilder::new()
                .items(RefOr::T(kind.schema(MAX_VALUE)))
                .min_items(Some(1))
                .max_items(Some(MAX_IN))
                .into(),
            Self::IsNull => ValueKind::Boolean.schema(MAX_VALUE),
            Self::Ilike => kind.schema(MAX_PATTERN),
            _ => kind.schema(MAX_VALUE),
        }
    }
}

/// A parameter of the query string of a list.
#[derive(Clone)]
pub struct QueryParameter {
    /// The name, such as `created_at__gte`.
    pub name: String,
    /// The description, in Markdown.
    pub description: String,
    /// The schema of the value. The items of an array are separated by commas.
    pub schema: Schema,
}

/// Returns the filters that a list of `E` accepts.
pub fn filter_parameters<E: Listable>() -> Vec<QueryParameter> {
    let of_field = |column: &E::Column| {
        let column = *column;
        OPERATORS.into_iter().filter(move |(_, op, _)| op.fits(column)).map(move |(suffix, op, meaning)| {
            let field = column.as_str();
            QueryParameter {
                name: format!("{field}{suffix}"),
                description: format!("Only items whose `{field}` {meaning}."),
                schema: op.schema(ValueKind::of(column)),
            }
        })
    };
    E::FIELDS.iter().flat_map(of_field).collect()
}

/// Returns the parameter `order_by` of a list of `E`.
pub fn order_parameter<E: Listable>() -> QueryParameter {
    let fields = E::FIELDS.iter().map(IdenStatic::as_str);
    let both: Vec<String> = fields.flat_map(|field| [field.to_owned(), format!("-{field}")]).collect();
    let item = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(both));
    let schema = ArrayBuilder::new().items(item).min_items(Some(1)).max_items(Some(E::FIELDS.len()));
    QueryParameter {
        name: "order_by".to_owned(),
        description:
            "The fields to sort by, separated by commas. `-` before a field sorts in descending order."
                .to_owned(),
        schema: schema.into(),
    }
}

/// Returns the parameter `search` of a list of `E`, or `None` if it cannot be searched.
pub fn search_parameter<E: Listable>() -> Option<QueryParameter> {
    let names = E::SEARCH.iter().map(IdenStatic::as_str).collect::<Vec<_>>().join("`, `");
    let schema = ObjectBuilder::new().schema_type(Type::String);
    (!E::SEARCH.is_empty()).then(|| QueryParameter {
        name: "search".to_owned(),
        description: format!("Only items that contain this text in one of `{names}`, regardless of case."),
        schema: schema.min_length(Some(1)).max_length(Some(MAX_PATTERN)).into(),
    })
}

/// The type of a column that can be filtered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueKind {
    Text,
    Boolean,
    Integer,
    Uuid,
    Time,
}

impl ValueKind {
    fn of<C: ColumnTrait>(column: C) -> Self {
        match column.def().get_column_type() {
            ColumnType::Boolean => Self::Boolean,
            ColumnType::SmallInteger | ColumnType::Integer | ColumnType::BigInteger => Self::Integer,
            ColumnType::Uuid => Self::Uuid,
            ColumnType::DateTime | ColumnType::Timestamp | ColumnType::TimestampWithTimeZone => Self::Time,
            _ => Self::Text,
        }
    }

    fn schema(self, max: usize) -> Schema {
        let schema = ObjectBuilder::new();
        let text = |format| {
            ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(format)))
        };
        match self {
            Self::Text => schema.schema_type(Type::String).max_length(Some(max)),
            Self::Boolean => schema.schema_type(Type::Boolean),
            Self::Integer => {
                schema.schema_type(Type::Integer).format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            }
            Self::Uuid => text(KnownFormat::Uuid),
            Self::Time => text(KnownFormat::DateTime),
        }
        .into()
    }

    fn parse(self, text: &str, max: usize) -> Result<Value, String> {
        fn parsed<T: FromStr + Into<Value>>(text: &str, message: &str) -> Result<Value, String> {
            text.parse::<T>().map(Into::into).map_err(|_| message.to_owned())
        }
        match self {
            Self::Text if text.chars().count() > max => Err(format!("must have at most {max} characters")),
            Self::Text if text.contains('\0') => Err("must not contain NUL".to_owned()),
            Self::Text => Ok(text.into()),
            Self::Boolean => parsed::<bool>(text, "must be true or false"),
            Self::Integer => parsed::<i64>(text, "must be a whole number from -2^63 to 2^63-1"),
            Self::Uuid => parsed::<Uuid>(text, "must be a UUID"),
            Self::Time => text.parse::<Timestamp>().map(Value::from).map_err(|error| error.to_string()),
        }
    }
}

impl<E: Listable> ListQuery<E> {
    /// Parses the pairs of a query string for a list whose order is fixed, such as one by cursor: `order_by` is an unknown
    /// field. Errors: every invalid parameter.
    pub fn parse_unordered<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, FieldErrors> {
        Self::parse_all(pairs, false)
    }

    /// Parses the pairs of a query string. Errors: every invalid parameter.
    pub fn parse<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, FieldErrors> {
        Self::parse_all(pairs, true)
    }

    fn parse_all<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
        ordered: bool,
    ) -> Result<Self, FieldErrors> {
        let (mut query, mut errors) = (Self::default(), FieldErrors::new());
        for (key, value) in pairs {
            match key.as_ref() {
                "order_by" if ordered => query.parse_order(value.as_ref(), &mut errors),
                "search" if !E::SEARCH.is_empty() => query.parse_search(value.as_ref(), &mut errors),
                key => query.parse_filter(key, value.as_ref(), &mut errors),
            }
        }
        if errors.is_empty() { Ok(query) } else { Err(errors) }
    }

    fn parse_order(&mut self, value: &str, errors: &mut FieldErrors) {
        if !self.order.is_empty() {
            return errors.add("order_by", "repeated", "is given twice");
        }
        let max = E::FIELDS.len();
        if value.split(',').nth(max).is_some() {
            return errors.add("order_by", "too_many", format!("must have at most {max} fields"));
        }
        for name in value.split(',') {
            let (name, order) = match name.strip_prefix('-') {
                Some(name) => (name, Order::Desc),
                None => (name, Order::Asc),
            };
            match field::<E>(name) {
                Some(column) if self.order.iter().all(|(known, _)| known.as_str() != column.as_str()) => {
                    self.order.push((column, order));
                }
                Some(_) => errors.add("order_by", "repeated", format!("names {name} twice")),
                None => {
                    let known = names::<E>();
                    errors.add("order_by", "unknown_field", format!("must name fields of {known}"));
                }
            }
        }
    }

    fn parse_search(&mut self, value: &str, errors: &mut FieldErrors) {
        if self.search.is_some() {
            return errors.add("search", "repeated", "is given twice");
        }
        if value.is_empty() {
            return errors.add("search", "too_short", "must have at least 1 character");
        }
        match ValueKind::Text.parse(value, MAX_PATTERN) {
            Ok(_) => self.search = Some((value.to_owned(), E::SEARCH)),
            Err(message) => errors.add("search", "bad_value", message),
        }
    }

    fn parse_filter(&mut self, key: &str, value: &str, errors: &mut FieldErrors) {
        let (name, suffix) = key.split_at(key.rfind("__").unwrap_or(key.len()));
        let op = OPERATORS.iter().find(|(known, ..)| *known == suffix).map(|(_, op, _)| *op);
        let Some(column) = field::<E>(name) else {
            let known = names::<E>();
            return errors.add(
                key,
                "unknown_field",
                format!("is not a known parameter; the fields are {known}"),
            );
        };
        let Some(op) = op.filter(|op| op.fits(column)) else {
            return errors.add(key, "unknown_operator", "has an operator that this field does not support");
        };
        if self.filters.iter().any(|known| known.op == op && known.column.as_str() == name) {
            return errors.add(key, "repeated", "is given twice");
        }
        if self.filters.len() >= MAX_FILTERS {
            return errors.add(key, "too_many", format!("is one of more than {MAX_FILTERS} filters"));
        }
        let (kind, one) = (ValueKind::of(column), |value: Value| vec![value]);
        let parsed = match op {
            Op::IsNull => ValueKind::Boolean.parse(value, MAX_VALUE).map(one),
            Op::In if value.split(',').nth(MAX_IN).is_some() => {
                Err(format!("must have at most {MAX_IN} values"))
            }
            Op::In => value.split(',').map(|part| kind.parse(part, MAX_VALUE)).collect(),
            Op::Ilike => kind.parse(value, MAX_PATTERN).map(one),
            _ => kind.parse(value, MAX_VALUE).map(one),
        };
        match parsed {
            Ok(values) => self.filters.push(Filter { column, op, values }),
            Err(message) => errors.add(key, "bad_value", message),
        }
    }
}

fn field<E: Listable>(name: &str) -> Option<E::Column> {
    E::FIELDS.iter().copied().find(|column| column.as_str() == name)
}

fn names<E: Listable>() -> String {
    E::FIELDS.iter().map(IdenStatic::as_str).collect::<Vec<_>>().join(", ")
}

impl<E: EntityTrait> ListQuery<E> {
    /// Returns the condition of the filters and the search.
    pub fn condition(&self, backend: DbBackend) -> Condition {
        let all = self.filters.iter().fold(Condition::all(), |all, filter| all.add(filter.expr(backend)));
        let Some((text, columns)) = &self.search else {
            return all;
        };
        let any =
            columns.iter().fold(Condition::any(), |any, column| any.add(contains(*column, text, backend)));
        all.add(any)
    }

    /// Returns whether there is no filter, no order and no search.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty() && self.order.is_empty() && self.search.is_none()
    }

    /// Returns whether the caller requested an order.
    pub fn is_ordered(&self) -> bool {
        !self.order.is_empty()
    }

    /// Applies the filters, the search and the order to `select`. Rows that are equal in that order are sorted by id;
    /// without an order the newest come first (descending ids).
    pub fn apply(&self, select: Select<E>, backend: DbBackend) -> Select<E>
    where
        E: CommonBase,
    {
        self.ordered(select.filter(self.condition(backend)))
    }

    /// Applies the order to `select`, as [`apply`](Self::apply) does.
    pub fn ordered(&self, mut select: Select<E>) -> Select<E>
    where
        E: CommonBase,
    {
        for (column, order) in &self.order {
            // The databases differ in where nulls are sorted. Set for nullable columns only, so that indexes are still used.
            select = if column.def().is_null() {
                select.order_by_with_nulls(*column, order.clone(), NullOrdering::Last)
            } else {
                select.order_by(*column, order.clone())
            };
        }
        let last = if self.is_ordered() { Order::Asc } else { Order::Desc };
        select.order_by(E::ID, last)
    }
}

impl<C: ColumnTrait> Filter<C> {
    fn expr(&self, backend: DbBackend) -> Expr {
        let column = self.column;
        if self.op == Op::In {
            return column.is_in(self.values.iter().cloned());
        }
        let value = self.values.first().cloned().unwrap_or(Value::Bool(None));
        match (self.op, value) {
            (Op::IsNull, Value::Bool(Some(false))) => column.is_not_null(),
            (Op::IsNull, _) => column.is_null(),
            (Op::Ilike, Value::String(Some(text))) => contains(column, &text, backend),
            (Op::Neq, value) => column.ne(value),
            (Op::Gt, value) => column.gt(value),
            (Op::Gte, value) => column.gte(value),
            (Op::Lt, value) => column.lt(value),
            (Op::Lte, value) => column.lte(value),
            (Op::Eq | Op::In | Op::Ilike, value) => column.eq(value),
        }
    }
}

/// Returns the condition that a text column contains `text`, regardless of case. SQLite's `LIKE` folds ASCII letters only.
pub fn contains<C: ColumnTrait>(column: C, text: &str, backend: DbBackend) -> Expr {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    let column = Expr::col(column.as_column_ref());
    match backend {
        // The backslash is the default escape character there.
        DbBackend::Postgres => column.ilike(LikeExpr::new(pattern)),
        _ => column.like(LikeExpr::new(pattern).escape('\\')),
    }
}
