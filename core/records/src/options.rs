//! Answers to choose from that leave no choice.

/// Why nobody could choose among these options, if so: one is empty, or two are equal. The words are
/// those of a row that is left out.
pub fn unanswerable(options: &[impl AsRef<str>]) -> Option<&'static str> {
    if options.iter().any(|option| option.as_ref().trim().is_empty()) {
        return Some("an answer choice is empty");
    }
    let is_twice =
        |place: usize| options[..place].iter().any(|it| it.as_ref() == options[place].as_ref());
    (0..options.len()).any(is_twice).then_some("two answer choices are equal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_must_differ_and_none_may_be_empty() {
        assert_eq!(unanswerable(&["a", "b", "A"]), None);
        assert_eq!(unanswerable(&["a", " ", "b"]), Some("an answer choice is empty"));
        assert_eq!(unanswerable(&["a", "b", "a"]), Some("two answer choices are equal"));
        assert_eq!(unanswerable(&[] as &[&str]), None);
    }
}
