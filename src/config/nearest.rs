//! What somebody most likely meant to type.

/// The nearest candidate; `None` when none is near enough to be a mistyped `text`.
pub fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong, at most four.
    let allowed = text.len().div_ceil(3).min(4);
    candidates
        .map(|candidate| (distance(text, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions and substitutions of bytes that turn one text into the other.
fn distance(a: &str, b: &str) -> usize {
    // One row of the usual table: distances of the read part of `a` to every beginning of `b`.
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let (mut diagonal, mut left) = (i, i.saturating_add(1));
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = left;
        }
        for (cell, y) in cells.zip(b.bytes()) {
            let changed = diagonal.saturating_add(usize::from(x != y));
            diagonal = *cell;
            left = changed
                .min(left.saturating_add(1))
                .min(diagonal.saturating_add(1));
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_single_edits() {
        for (a, b, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("deal", "deel", 1),
            ("deal", "del", 1),
            ("deal", "dael", 2),
            ("kitten", "sitting", 3),
            ("flaw", "lawn", 2),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn nearest_suggests_only_what_is_near() {
        let known = ["deal", "demo", "devnet"];
        assert_eq!(nearest("dael", known.into_iter()), Some("deal"));
        assert_eq!(nearest("devent", known.into_iter()), Some("devnet"));
        assert_eq!(nearest("wallet", known.into_iter()), None);
        assert_eq!(nearest("", known.into_iter()), None);
    }
}
