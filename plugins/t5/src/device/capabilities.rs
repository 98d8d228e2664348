//! What a build can do, as `deft plugin inspect` tells it.

use serde_json::{Value, json};

use super::found::Built;
use crate::config::Precision;

/// Devices and precisions of this build.
///
/// It is asked for whenever the plugin is loaded: nothing is opened for it, and what the machine has
/// is told where a device is opened.
pub(crate) fn capabilities() -> Value {
    json!({
        "devices": { "cpu": true, "cuda": cuda(Built::here()) },
        "precisions": [Precision::F32, Precision::Tf32, Precision::Bf16],
    })
}

/// What the kernels were made with and for; `false` without kernels.
fn cuda(built: Option<Built>) -> Value {
    built.map_or(
        Value::Bool(false),
        |built| json!({"toolkit": built.toolkit.to_string(), "compute_capability": built.wants()}),
    )
}

#[cfg(test)]
mod tests {
    use super::super::found::Version;
    use super::*;

    #[test]
    fn a_build_says_what_its_kernels_are_for() {
        let (toolkit, capability) =
            (Version { major: 13, minor: 0 }, Version { major: 8, minor: 0 });
        assert_eq!(
            cuda(Some(Built { toolkit, capability })),
            json!({"toolkit": "13.0", "compute_capability": "8.0 or higher"})
        );
        assert_eq!(cuda(None), json!(false));
    }

    #[test]
    fn every_build_has_the_cpu_and_all_precisions() {
        let told = capabilities();
        assert_eq!(told["devices"]["cpu"], true);
        assert_eq!(told["precisions"], json!(["f32", "tf32", "bf16"]));
    }
}
