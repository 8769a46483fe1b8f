//! Time, passed in as a value: milliseconds since the Unix epoch. Nothing else reads the wall clock.
//!
//! The system clock may be set forward or back. Durations are measured with [`Clock::uptime`].

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, Month, OffsetDateTime};
use utoipa::{PartialSchema, ToSchema};

const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// The source of the current time. Tests replace it with their own.
#[derive(Clone)]
pub struct Clock {
    wall: Arc<dyn Fn() -> i64 + Send + Sync>,
    started: Instant,
}

impl Clock {
    /// Returns the system clock.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn system() -> Self {
        Self::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64))
    }

    /// Creates a clock that shows what `wall` returns, in milliseconds since the Unix epoch.
    pub fn new(wall: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self { wall: Arc::new(wall), started: Instant::now() }
    }

    /// Returns the current time in milliseconds since the Unix epoch.
    pub fn now(&self) -> i64 {
        (self.wall)()
    }

    /// Returns the milliseconds since this clock was created. It never goes back, even if the system clock is set.
    pub fn uptime(&self) -> i64 {
        self.started.elapsed().as_millis() as i64
    }
}

/// A point in time in the wire format: RFC 3339, UTC, with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Formats the time as it is sent to clients. Years after 9999 are shown as the last day of 9999.
    pub fn to_rfc3339(self) -> String {
        let last = Date::from_calendar_date(9999, Month::December, 31)
            .map_or(OffsetDateTime::UNIX_EPOCH, |day| day.midnight().assume_utc());
        let moment =
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).unwrap_or(last);
        moment.format(FORMAT).unwrap_or_default()
    }

    /// Parses an RFC 3339 time, or a date such as `2026-05-31`, which stands for its beginning in UTC or, with `is_end`, for
    /// its end.
    pub fn of_text(text: &str, is_end: bool) -> Option<Self> {
        if let Some(time) = Self::from_rfc3339(text) {
            return Some(time);
        }
        let date = Date::parse(text.trim(), DATE).ok()?;
        let date = if is_end { date.next_day()? } else { date };
        Some(Self(date.midnight().assume_utc().unix_timestamp() * 1_000))
    }

    /// Parses an RFC 3339 time with any offset. Returns `None` for any other text.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let moment =
            OffsetDateTime::parse(text.trim(), &time::format_description::well_known::Rfc3339).ok()?;
        i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok().map(Self)
    }
}

thread_local! {
    /// The time that was formatted last: the messages of a group and their events carry the same one.
    static FORMATTED: RefCell<Option<(Timestamp, String)>> = const { RefCell::new(None) };
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FORMATTED.with_borrow_mut(|last| {
            if last.as_ref().is_none_or(|(time, _)| time != self) {
                *last = None;
            }
            let (_, text) = last.get_or_insert_with(|| (*self, self.to_rfc3339()));
            serializer.serialize_str(text)
        })
    }
}

impl PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::DateTime)))
            .examples([serde_json::json!("2026-11-20T09:30:00.000Z")])
            .into()
    }
}

impl ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_serialized_as_itself() {
        for milliseconds in [0, 0, 1, 1_764_000_000_000, 1, i64::MIN, 0] {
            let time = Timestamp(milliseconds);
            let text = serde_json::to_string(&time).expect("encodes");
            assert_eq!(text, format!("\"{}\"", time.to_rfc3339()));
        }
    }

    #[test]
    fn a_timestamp_has_milliseconds_and_a_z() {
        assert_eq!(Timestamp(0).to_rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(1_795_000_000_007).to_rfc3339(), "2026-11-18T11:06:40.007Z");
    }

    #[test]
    fn a_moment_is_read_with_any_offset_and_nothing_else_is() {
        let read = |text| Timestamp::from_rfc3339(text).map(|it| it.0);
        assert_eq!(read("2026-11-18T11:06:40.007Z"), Some(1_795_000_000_007));
        assert_eq!(read("2026-11-18T14:06:40+03:00"), Some(1_795_000_000_000));
        for bad in ["", "tomorrow", "2026-11-18", "2026-11-18T11:06:40", "2026-13-18T11:06:40Z"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
