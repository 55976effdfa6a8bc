//! What the cloud's error codes mean to the core. The one place that knows them.

use std::time::Duration;

use crate::error::ErrorKind;

/// Nothing of the kind is to be had now.
const CAPACITY: &[&str] = &[
    "InsufficientInstanceCapacity",
    "InsufficientHostCapacity",
    "InsufficientReservedInstanceCapacity",
    "InsufficientCapacityOnHost",
    "InsufficientCapacity",
    "InsufficientFreeAddressesInSubnet",
    "UnfulfillableCapacity",
    "SpotMaxPriceTooLow",
    "ReservationCapacityExceeded",
];
/// The account may not have more.
const QUOTA: &[&str] = &[
    "VcpuLimitExceeded",
    "InstanceLimitExceeded",
    "MaxSpotInstanceCountExceeded",
    "SpotInstanceCountExceeded",
    "VolumeLimitExceeded",
    "PrivateIpAddressLimitExceeded",
    "NetworkInterfaceLimitExceeded",
    "PlacementGroupLimitExceeded",
    "ResourceLimitExceeded",
];
/// Too many calls.
const THROTTLED: &[&str] = &[
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "EC2ThrottledException",
    "TooManyRequestsException",
    "BandwidthLimitExceeded",
    "SlowDown",
];
/// Codes of the cloud's own trouble: whether anything was done, nobody says.
const TROUBLE: &[&str] = &["InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable"];
/// Beyond everything that begins with `Invalid` or `Missing`: the request as it stands can never succeed.
const HOPELESS: &[&str] = &[
    "Unsupported",
    "UnsupportedOperation",
    "UnknownParameter",
    "ValidationError",
    "MalformedQueryString",
    "OptInRequired",
    "PendingVerification",
];

/// The kind of an error with this code and HTTP status.
pub(super) fn kind(code: &str, status: u16) -> ErrorKind {
    let any = |codes: &[&str]| codes.contains(&code);
    if any(CAPACITY) {
        ErrorKind::OutOfCapacity
    } else if any(QUOTA) {
        ErrorKind::QuotaExceeded
    } else if any(THROTTLED) || status == 429 {
        // How long is for the caller to say: it knows how often this has happened.
        ErrorKind::Throttled {
            retry_after: Duration::ZERO,
        }
    } else if any(TROUBLE) || (code.is_empty() && status >= 500) {
        ErrorKind::Unanswered
    } else if code.starts_with("InvalidInstanceID") {
        ErrorKind::NotFound
    } else if any(HOPELESS) || code.starts_with("Invalid") || code.starts_with("Missing") {
        ErrorKind::Invalid
    } else if status >= 500 {
        ErrorKind::Unanswered
    } else {
        ErrorKind::Failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_capacity_quota_throttle_and_silence_are_told_apart() {
        let throttled = ErrorKind::Throttled {
            retry_after: Duration::ZERO,
        };
        for (code, status, expected) in [
            ("InsufficientInstanceCapacity", 500, ErrorKind::OutOfCapacity),
            ("SpotMaxPriceTooLow", 400, ErrorKind::OutOfCapacity),
            ("VcpuLimitExceeded", 400, ErrorKind::QuotaExceeded),
            ("MaxSpotInstanceCountExceeded", 400, ErrorKind::QuotaExceeded),
            ("RequestLimitExceeded", 503, throttled),
            ("", 429, throttled),
            ("InternalError", 500, ErrorKind::Unanswered),
            ("Unavailable", 503, ErrorKind::Unanswered),
            ("", 502, ErrorKind::Unanswered),
            ("SomethingNew", 500, ErrorKind::Unanswered),
            ("InvalidInstanceID.NotFound", 400, ErrorKind::NotFound),
            ("InvalidAMIID.NotFound", 400, ErrorKind::Invalid),
            ("Unsupported", 400, ErrorKind::Invalid),
            ("UnauthorizedOperation", 403, ErrorKind::Failed),
            ("IdempotentParameterMismatch", 400, ErrorKind::Failed),
        ] {
            assert_eq!(kind(code, status), expected, "{code} {status}");
        }
    }
}
