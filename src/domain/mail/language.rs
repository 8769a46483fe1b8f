//! The languages of mails: English or Russian, chosen by the client's `Accept-Language` header.

/// A language that mails are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English, the default if the user's language is unknown.
    #[default]
    English,
    /// Russian.
    Russian,
}

impl Language {
    /// All languages.
    pub const ALL: [Self; 2] = [Self::English, Self::Russian];

    /// Returns the name in the database, which is also the name of the templates' folder (RFC 5646).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Russian => "ru",
        }
    }

    /// Returns the language with this name in the database, or the default.
    pub fn of(name: Option<&str>) -> Self {
        Self::ALL.into_iter().find(|it| Some(it.as_str()) == name).unwrap_or_default()
    }

    /// Returns the supported language that an `Accept-Language` header (RFC 9110, section 12.5.4) prefers, if it names
    /// any.
    pub fn accepted(header: &str) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        for range in header.split(',').take(32) {
            let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
            let primary = tag.trim().split('-').next().unwrap_or_default().to_ascii_lowercase();
            let Some(language) = Self::ALL.into_iter().find(|it| it.as_str() == primary) else { continue };
            let weight = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse().ok());
            let weight = weight.filter(|q: &f32| *q > 0.0 && *q <= 1.0);
            if let Some(weight) = weight
                && best.is_none_or(|(most, _)| weight > most)
            {
                best = Some((weight, language));
            }
        }
        best.map(|(_, language)| language)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_of_the_known_ones_is_taken() {
        for (header, wanted) in [
            ("ru", Some(Language::Russian)),
            ("ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", Some(Language::Russian)),
            ("en-GB,ru;q=0.9", Some(Language::English)),
            ("de, ru;q=0.5, en;q=0.4", Some(Language::Russian)),
            ("ru;q=0, en;q=0.1", Some(Language::English)),
            ("de,fr;q=0.5,*;q=0.1", None),
            ("", None),
            (";;;q=,ru;q=x", None),
            ("ru\u{0}", None),
        ] {
            assert_eq!(Language::accepted(header), wanted, "{header}");
        }
        assert_eq!(Language::of(None), Language::English);
        assert_eq!(Language::of(Some("ru")), Language::Russian);
        assert_eq!(Language::of(Some("tlh")), Language::English);
    }
}
