//! Whether a GPU takes a text of PTX: what for, and in which version, the text says itself.

use super::settings::Settings;
use super::status::{Answer, Status};

/// Versions of CUDA, and the version of PTX that came with each.
const VERSIONS: [(i32, (u32, u32)); 22] = [
    (11000, (7, 0)),
    (11010, (7, 1)),
    (11020, (7, 2)),
    (11030, (7, 3)),
    (11040, (7, 4)),
    (11050, (7, 5)),
    (11060, (7, 6)),
    (11070, (7, 7)),
    (11080, (7, 8)),
    (12000, (8, 0)),
    (12010, (8, 1)),
    (12020, (8, 2)),
    (12030, (8, 3)),
    (12040, (8, 4)),
    (12050, (8, 5)),
    (12070, (8, 6)),
    (12080, (8, 7)),
    (12090, (8, 8)),
    (13000, (9, 0)),
    (13010, (9, 1)),
    (13020, (9, 2)),
    (13030, (9, 3)),
];

/// Checks version and target of a text of PTX.
///
/// # Errors
///
/// - `INVALID_IMAGE` if it has none;
/// - `UNSUPPORTED_PTX_VERSION` if it is of a later CUDA than the driver;
/// - `INVALID_PTX` if it is for a GPU that this one cannot stand for: the driver's compiler refuses it.
///   (`NO_BINARY_FOR_GPU` is for images with compiled kernels.)
pub(crate) fn check(text: &str, settings: &Settings) -> Answer {
    let version = word_after(text, ".version").and_then(pair).ok_or(Status::INVALID_IMAGE)?;
    let target = word_after(text, ".target").ok_or(Status::INVALID_IMAGE)?;
    if version > latest(settings.driver) {
        return Err(Status::UNSUPPORTED_PTX_VERSION);
    }
    if runs(target, settings.capability) { Ok(()) } else { Err(Status::INVALID_PTX) }
}

/// The latest version of PTX that a driver knows.
fn latest(driver: i32) -> (u32, u32) {
    let known = VERSIONS.iter().take_while(|(cuda, _)| *cuda <= driver);
    known.last().map_or((6, 5), |(_, ptx)| *ptx)
}

/// Whether kernels for `sm_80`, `sm_90a` or `sm_100f` run on a GPU.
fn runs(target: &str, (major, minor): (u32, u32)) -> bool {
    let Some(target) = target.trim_end_matches(',').strip_prefix("sm_") else { return false };
    let number = target.trim_end_matches(['a', 'f']);
    let Ok(wanted) = number.parse::<u32>() else { return false };
    let capability = major * 10 + minor;
    match &target[number.len()..] {
        "" => wanted <= capability,
        "a" => wanted == capability,
        // `f` is for a family: the same major number.
        _ => wanted <= capability && wanted / 10 == major,
    }
}

/// The word after the first line that begins with a directive.
fn word_after<'a>(text: &'a str, directive: &str) -> Option<&'a str> {
    let rest = text.lines().find_map(|line| line.trim_start().strip_prefix(directive))?;
    rest.split_whitespace().next()
}

fn pair(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(version: &str, target: &str, driver: i32, capability: (u32, u32)) -> Answer {
        let text = format!("// a comment\n.version {version}\n.target {target}\n");
        check(&text, &Settings { capability, driver, ..Settings::default() })
    }

    #[test]
    fn ptx_of_a_later_cuda_than_the_driver_s_is_refused() {
        let refused = Err(Status::UNSUPPORTED_PTX_VERSION);
        assert_eq!(checked("9.0", "sm_80", 13000, (8, 0)), Ok(()));
        assert_eq!(checked("9.0", "sm_80", 12090, (8, 0)), refused);
        assert_eq!(checked("8.5", "sm_80", 12060, (8, 0)), Ok(()));
        assert_eq!(checked("8.7", "sm_80", 12060, (8, 0)), refused);
        assert_eq!(checked("9.0", "sm_80", 99000, (8, 0)), Ok(()));
    }

    #[test]
    fn ptx_for_another_gpu_is_refused() {
        let on = |target, capability| checked("7.8", target, 13000, capability);
        assert!(on("sm_80", (9, 0)).is_ok() && on("sm_90a", (9, 0)).is_ok());
        assert_eq!(on("sm_80", (7, 5)), Err(Status::INVALID_PTX));
        assert_eq!(on("sm_90a", (10, 0)), Err(Status::INVALID_PTX));
        assert_eq!(on("sm_90a", (8, 9)), Err(Status::INVALID_PTX));
        assert!(on("sm_100f", (10, 3)).is_ok() && on("sm_100f", (12, 0)).is_err());
    }

    #[test]
    fn a_text_that_is_no_ptx_is_no_image() {
        let settings = Settings::default();
        assert_eq!(check("int main() {}", &settings), Err(Status::INVALID_IMAGE));
        assert_eq!(check("", &settings), Err(Status::INVALID_IMAGE));
    }
}
