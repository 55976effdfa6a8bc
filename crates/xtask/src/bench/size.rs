//! How large the stripped release binary is.

use super::figure::Figure;
use anyhow::{Context, Result};
use std::path::Path;

/// How this measures.
pub(crate) const METHOD: &str =
    "length of the release binary on disk, built with symbols stripped and default features";

/// Most the binary may weigh, in MB of 10^6 bytes.
const BOUND_MB: f64 = 40.0;

/// Looks at the file.
///
/// # Errors
/// When there is no such binary.
pub(crate) fn measure(binary: &Path) -> Result<Vec<Figure>> {
    let length = std::fs::metadata(binary)
        .with_context(|| format!("look at {}", binary.display()))?
        .len();
    let thousands = u32::try_from(length / 1000).context("measure a binary of less than 4 TB")?;
    let measured = f64::from(thousands) / 1000.0;
    Ok(vec![
        Figure::new("binary", "MB", vec![measured]).at_most(BOUND_MB, "our target"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_binary_is_named() {
        let error = measure(Path::new("/no/such/reeve")).err().expect("it does not exist");
        assert_eq!(error.to_string(), "look at /no/such/reeve");
    }
}
