//! Parses Mango's times: text as PostgreSQL's `now()` prints it, in UTC if it has no zone.

use time::{Date, Month, PlainDateTime, Time};

/// Parses a time such as `2023-02-01 19:54:27.920006+00` into milliseconds since the Unix epoch; `None` if it is
/// invalid.
pub fn read(text: &str) -> Option<i64> {
    let text = text.trim();
    let (date, rest) = (text.get(..10)?, text.get(11..)?);
    if !matches!(text.as_bytes().get(10), Some(b' ' | b'T')) {
        return None;
    }
    let zone_at = rest.find(['+', '-', 'Z', 'z']).unwrap_or(rest.len());
    let (clock, zone) = (rest.get(..zone_at)?.trim_end(), rest.get(zone_at..)?);
    let moment = PlainDateTime::new(read_date(date)?, read_clock(clock)?);
    let millis = moment.assume_utc().unix_timestamp_nanos() / 1_000_000;
    Some(i64::try_from(millis).ok()? - read_zone(zone)? * 1_000)
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn read_date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let month = Month::try_from(number::<u8>(month)?).ok()?;
    let date = Date::from_calendar_date(number(year)?, month, number(day)?).ok()?;
    parts.next().is_none().then_some(date)
}

fn read_clock(text: &str) -> Option<Time> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = whole.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
    if parts.next().is_some() || fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let nanos = number::<u32>(fraction)? * 10_u32.pow(9 - fraction.len() as u32);
    Time::from_hms_nano(number(hour)?, number(minute)?, number(second)?, nanos).ok()
}

/// Parses a time zone into seconds east of UTC.
fn read_zone(text: &str) -> Option<i64> {
    let Some(sign) = text.chars().next() else { return Some(0) };
    let digits: String = text.get(1..)?.chars().filter(|c| *c != ':').collect();
    let east = match (sign, digits.len()) {
        ('Z' | 'z', 0) => return Some(0),
        ('+', 2 | 4 | 6) => 1,
        ('-', 2 | 4 | 6) => -1,
        _ => return None,
    };
    let part = |from: usize| digits.get(from..from + 2).map_or(Some(0), number::<i64>);
    Some(east * (part(0)? * 3_600 + part(2)? * 60 + part(4)?))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn times_are_read_as_postgresql_and_python_print_them() {
        let moment = 1_675_281_267_920;
        for text in [
            "2023-02-01 19:54:27.920006+00",
            "2023-02-01 19:54:27.920006",
            "2023-02-01T19:54:27.92Z",
            "2023-02-01 22:54:27.92+03",
            "2023-02-01 14:24:27.92-05:30",
            "2023-02-01 14:24:27.920-0530",
            " 2023-02-01 19:54:27.920 +00 ",
        ] {
            assert_eq!(read(text), Some(moment), "{text}");
        }
        assert_eq!(read("1970-01-01 00:00"), Some(0));
        assert_eq!(read("1969-12-31 23:59:59.999"), Some(-1));
    }

    #[test]
    fn what_is_no_time_is_told() {
        for text in [
            "",
            "now",
            "2023-02-01",
            "2023-02-30 10:00:00",
            "2023-13-01 10:00:00",
            "2023-02-01 25:00:00",
            "2023-02-01 10:00:00+0",
            "2023-02-01 10:00:00.",
            "2023-02-01 10:00:00.1234567890",
            "2023-02-01 10:00:00 утра",
            "01.02.2023 10:00:00",
            "infinity",
            "2023-02-01 10:00:00 BC",
            "1675281267",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
