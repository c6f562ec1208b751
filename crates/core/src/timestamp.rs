//! A moment in UTC, to the microsecond, the same on both databases.
//!
//! ```
//! use groundwork_core::Timestamp;
//!
//! let moment: Timestamp = "2026-01-31T10:30:00+01:00".parse().unwrap();
//! assert_eq!(moment.to_string(), "2026-01-31T09:30:00.000000Z");
//! ```

use std::{fmt, ops, str::FromStr, time::Duration};

use sea_orm::DeriveValueType;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::{
    OffsetDateTime, PrimitiveDateTime, UtcOffset,
    format_description::well_known::Rfc3339,
    macros::{datetime, format_description},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, schema::Type},
};

/// A moment in UTC with microseconds: what PostgreSQL can hold, so that a value read back equals the one written.
///
/// In the database it is a `timestamp` without zone, always UTC. SQLite stores that as text whose order is the
/// order in time; it does not do so for a time with a zone, whose fraction has no fixed place. On the wire it is
/// RFC 3339 with six digits, `2026-01-31T09:30:00.000000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
pub struct Timestamp(PrimitiveDateTime);

impl Timestamp {
    /// The first moment that RFC 3339 can express: the beginning of the year 0.
    pub const MIN: Self = Self(datetime!(0000-01-01 00:00:00));
    /// The last moment that RFC 3339 can express in microseconds: the end of the year 9999.
    pub const MAX: Self = Self(datetime!(9999-12-31 23:59:59.999_999));

    /// Converts `time`, truncated to whole microseconds and limited to [`MIN`](Self::MIN) and [`MAX`](Self::MAX).
    pub fn new(time: OffsetDateTime) -> Self {
        Self::checked(time).unwrap_or(if time.year() < 5000 { Self::MIN } else { Self::MAX })
    }

    fn checked(time: OffsetDateTime) -> Option<Self> {
        let utc = time.checked_to_offset(UtcOffset::UTC)?;
        let whole = utc.replace_microsecond(utc.microsecond()).unwrap_or(utc);
        let moment = Self(PrimitiveDateTime::new(whole.date(), whole.time()));
        (Self::MIN..=Self::MAX).contains(&moment).then_some(moment)
    }

    /// Returns this moment truncated to whole seconds.
    #[must_use]
    pub fn whole_seconds(self) -> Self {
        Self(self.0.truncate_to_second())
    }

    /// Returns the whole seconds since 1970-01-01T00:00:00Z, as in a JWT's `NumericDate` (RFC 7519, section 2).
    pub fn unix_seconds(self) -> i64 {
        self.0.assume_utc().unix_timestamp()
    }

    /// Returns the time from `earlier` to this moment; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::try_from(self.0 - earlier.0).unwrap_or(Duration::ZERO)
    }

    /// Returns the moment that many whole seconds after 1970-01-01T00:00:00Z, limited as in [`new`](Self::new).
    pub fn from_unix_seconds(seconds: i64) -> Self {
        let beyond = if seconds < 0 { Self::MIN } else { Self::MAX };
        OffsetDateTime::from_unix_timestamp(seconds).map_or(beyond, Self::new)
    }

    /// Returns midnight of the same day, in UTC.
    #[must_use]
    pub fn start_of_day(self) -> Self {
        Self(self.0.replace_time(time::Time::MIDNIGHT))
    }

    /// Returns the seconds and nanoseconds since 1970, for a UUIDv7; (0, 0) for a moment before 1970.
    pub(crate) fn unix_parts(self) -> (u64, u32) {
        let utc = self.0.assume_utc();
        (u64::try_from(utc.unix_timestamp()).unwrap_or(0), utc.nanosecond())
    }
}

/// The error for a text that is not a valid [`Timestamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an RFC 3339 time from the year 0000 to 9999 in UTC")]
pub struct NotATime;

/// Saturates at [`Timestamp::MAX`].
impl ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let duration = time::Duration::try_from(duration).unwrap_or(time::Duration::MAX);
        Self(self.0.saturating_add(duration)).clamp(Self::MIN, Self::MAX)
    }
}

/// Saturates at [`Timestamp::MIN`].
impl ops::Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        let duration = time::Duration::try_from(duration).unwrap_or(time::Duration::MAX);
        Self(self.0.saturating_sub(duration)).clamp(Self::MIN, Self::MAX)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format =
            format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
        f.write_str(&self.0.format(format).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Timestamp {
    type Err = NotATime;

    /// Parses RFC 3339 with any offset. The fraction is truncated to microseconds.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        OffsetDateTime::parse(text, &Rfc3339).ok().and_then(Self::checked).ok_or(NotATime)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("An RFC 3339 time in UTC, with microseconds."))
            .examples([serde_json::json!("2026-01-31T09:30:00.000000Z")])
            .into()
    }
}

impl ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_with_six_digits_and_read_with_any_offset() {
        let moment: Timestamp = "2026-01-31T11:30:00.1+02:00".parse().unwrap();
        assert_eq!(moment.to_string(), "2026-01-31T09:30:00.100000Z");
        assert_eq!(serde_json::to_string(&moment).unwrap(), "\"2026-01-31T09:30:00.100000Z\"");
    }

    #[test]
    fn refuses_what_is_outside_of_four_digit_years_in_utc() {
        for text in [
            "9999-12-31T23:59:59-23:59",
            "9999-12-31T23:59:59.999999-00:01",
            "0000-01-01T00:00:00+00:01",
            "0000-01-01T00:00:00+23:59",
            "10000-01-01T00:00:00Z",
            "-0001-01-01T00:00:00Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(NotATime), "{text}");
        }
        for text in ["0000-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        let day = Duration::from_hours(24);
        assert_eq!((Timestamp::MAX + day, Timestamp::MIN - Duration::MAX), (Timestamp::MAX, Timestamp::MIN));
        let late = OffsetDateTime::parse("9999-12-31T23:59:59-23:59", &Rfc3339).unwrap();
        assert_eq!(Timestamp::new(late), Timestamp::MAX);
    }

    #[test]
    fn drops_what_a_database_would_not_keep() {
        let nanos = OffsetDateTime::from_unix_timestamp_nanos(1_234_567_891).unwrap();
        assert_eq!(Timestamp::new(nanos).to_string(), "1970-01-01T00:00:01.234567Z");
    }
}
