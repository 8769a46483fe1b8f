//! Unicode text from users: how it is compared, how names are cleaned, and how passwords are normalized.

pub mod terms;
pub mod word_list;

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Characters that join or modify their neighbours, in emoji and in several scripts. Names may contain them between
/// visible characters.
const JOINERS: [char; 4] = ['\u{200c}', '\u{200d}', '\u{fe0e}', '\u{fe0f}'];

/// The dot that remains of `İ` after case folding.
const DOT_ABOVE: char = '\u{307}';

/// Folds text for comparison: compatibility forms are equal (NFKC), and neither case nor the dots of `ё` matter.
pub fn fold(text: &str) -> String {
    let nfkc = ComposingNormalizerBorrowed::new_nfkc();
    let folded = CaseMapper::new().fold_string(&nfkc.normalize(text)).into_owned();
    let mut plain = String::with_capacity(folded.len());
    for sign in folded.chars() {
        match sign {
            DOT_ABOVE if plain.ends_with('i') => {}
            'ё' => plain.push('е'),
            sign => plain.push(sign),
        }
    }
    nfkc.normalize(&plain).into_owned()
}

/// Normalizes text for storage and hashing: composed (NFC), so that different ways to type a character are equal.
pub fn nfc(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned()
}

/// Returns a name as it is stored: composed and trimmed. The error says what the name must not contain.
pub fn clean_name(text: &str) -> Result<String, &'static str> {
    let name = nfc(text.trim());
    let kinds = CodePointMapData::<GeneralCategory>::new();
    let (ignorable, directions) =
        (CodePointSetData::new::<DefaultIgnorableCodePoint>(), CodePointSetData::new::<BidiControl>());
    let is_break = |sign| {
        let kind = kinds.get(sign);
        kind == GeneralCategory::Control
            || kind == GeneralCategory::LineSeparator
            || kind == GeneralCategory::ParagraphSeparator
    };
    if name.contains(is_break) {
        return Err("must not contain line breaks or other control characters");
    }
    if name.contains(|sign| directions.contains(sign)) {
        return Err("must not contain characters that change the direction of writing");
    }
    let is_invisible = |sign| ignorable.contains(sign) && !JOINERS.contains(&sign);
    let shows =
        |sign| !ignorable.contains(sign) && !GeneralCategoryGroup::Separator.contains(kinds.get(sign));
    if name.contains(is_invisible) || (!name.is_empty() && !name.contains(shows)) {
        return Err("must not contain invisible characters");
    }
    Ok(name)
}

/// The maximum length of a name in characters.
pub const LONGEST_NAME: usize = 100;

/// Returns the closest valid name for a text from another system: without forbidden characters, and cut to the maximum
/// length.
pub fn presentable(text: &str) -> String {
    let short: String = visible(text).trim().chars().take(LONGEST_NAME).collect();
    clean_name(&short).unwrap_or_default()
}

/// Returns a text, composed, without invisible characters and with spaces instead of control characters.
fn visible(text: &str) -> String {
    let kinds = CodePointMapData::<GeneralCategory>::new();
    let (ignorable, directions) =
        (CodePointSetData::new::<DefaultIgnorableCodePoint>(), CodePointSetData::new::<BidiControl>());
    let taken =
        |sign: &char| !directions.contains(*sign) && (!ignorable.contains(*sign) || JOINERS.contains(sign));
    let plain = |sign: char| match kinds.get(sign) {
        GeneralCategory::Control | GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator => {
            ' '
        }
        _ => sign,
    };
    nfc(text).chars().filter(taken).map(plain).collect()
}

/// The maximum length of a file's name in characters.
const LONGEST_FILE_NAME: usize = 200;

/// Returns the name under which a file is kept: without folders and invisible characters, and shortened before its
/// extension if it is too long.
pub fn file_name(text: &str) -> String {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let visible = visible(last);
    let name = visible.trim().trim_matches('.').trim();
    if name.is_empty() {
        return "file".to_owned();
    }
    let length = name.chars().count();
    if length <= LONGEST_FILE_NAME {
        return name.to_owned();
    }
    let extension = name.rsplit_once('.').map(|(_, it)| it).filter(|it| it.chars().count() <= 10);
    let extension = extension.map(|it| format!(".{it}")).unwrap_or_default();
    let kept = LONGEST_FILE_NAME - extension.chars().count();
    name.chars().take(kept).chain(extension.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_readers_take_for_the_same_is_compared_as_the_same() {
        for (one, other) in [
            ("é", "e\u{301}"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
            ("İstanbul", "istanbul"),
            ("Ёлка", "елка"),
            ("ё", "е\u{308}"),
            ("ＡＬＩＣＥ１", "alice1"),
            ("STRASSE", "straße"),
            ("ﬁn", "FIN"),
            ("Å", "\u{212b}"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
            assert_eq!(fold(&fold(one)), fold(one), "{one}");
        }
        for (one, other) in [("e", "é"), ("ı", "i"), ("и", "й"), ("a", "а")] {
            assert_ne!(fold(one), fold(other), "{one} {other}");
        }
    }

    #[test]
    fn of_what_is_no_name_the_nearest_one_is_made() {
        for (text, wanted) in [
            (" Ann\nLee ", "Ann Lee"),
            ("\u{1b}[31mred", "[31mred"),
            ("a\u{202e}b\u{200b}c", "abc"),
            ("👩\u{200d}🌾", "👩\u{200d}🌾"),
            ("\u{200b}\u{2028}", ""),
            ("\u{200d}", ""),
        ] {
            assert_eq!(presentable(text), wanted, "{text:?}");
            assert_eq!(clean_name(&presentable(text)).as_deref(), Ok(wanted), "{text:?}");
        }
        assert_eq!(presentable(&"x".repeat(300_000)).len(), LONGEST_NAME);
    }

    #[test]
    fn a_file_name_has_no_folders_and_no_tricks() {
        for (text, wanted) in [
            ("отчёт.pdf", "отчёт.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\me\\x.txt", "x.txt"),
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
            ("a\nb.txt", "a b.txt"),
            ("...", "file"),
            ("", "file"),
            (".env", "env"),
        ] {
            assert_eq!(file_name(text), wanted, "{text:?}");
        }
        let long = file_name(&format!("{}.jpeg", "ё".repeat(300)));
        assert_eq!((long.chars().count(), long.ends_with("ё.jpeg")), (LONGEST_FILE_NAME, true));
    }

    #[test]
    fn a_name_shows_as_it_is_and_is_composed() {
        for (text, wanted) in [
            (" Ann ", "Ann"),
            ("Zoe\u{308}", "Zoë"),
            ("👩\u{200d}💻", "👩\u{200d}💻"),
            ("❤\u{fe0f}", "❤\u{fe0f}"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("O'Neil-Пётр 王", "O'Neil-Пётр 王"),
            ("", ""),
        ] {
            assert_eq!(clean_name(text).as_deref(), Ok(wanted));
        }
        for text in [
            "\u{200b}",
            "a\u{200b}b",
            "\u{200d}",
            "\u{fe0f}\u{200c}",
            "\u{2060}",
            "\u{feff}a",
            "\u{ad}",
            "\u{3164}",
            "a\u{202e}b",
            "\u{2066}a\u{2069}",
            "a\u{200e}",
            "a\u{61c}",
            "a\u{2028}b",
            "a\u{2029}b",
            "a\nb",
            "a\u{85}b",
            "\u{7f}",
            "a\0",
            "\u{e0041}",
        ] {
            assert!(clean_name(text).is_err(), "{}", text.escape_unicode());
        }
    }
}
