//! What the errors of AWS mean.

use std::time::{Duration, SystemTime};

use crate::outcome::{StoreError, Trouble, shown};

/// How far the clock of a server is ahead, in seconds, if that is enough to matter: signatures are good for five minutes.
pub(super) fn skew_of(date: &str) -> Option<i64> {
    let theirs = httpdate::parse_http_date(date).ok()?;
    let seconds = match theirs.duration_since(SystemTime::now()) {
        Ok(ahead) => i64::try_from(ahead.as_secs()).ok()?,
        Err(behind) => -i64::try_from(behind.duration().as_secs()).ok()?,
    };
    (seconds.abs() >= 120).then_some(seconds)
}

/// The code of an error: what stands behind `#` and before `:`.
pub(super) fn code_of(named: &str) -> &str {
    let code = named.rsplit('#').next().unwrap_or(named);
    code.split(':').next().unwrap_or(code).trim()
}

/// The content of the first element of that name, of an answer in XML.
pub(super) fn in_xml(body: &[u8], element: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once(&format!("<{element}>"))?;
    let (inner, _) = rest.split_once(&format!("</{element}>"))?;
    Some(inner.trim().to_owned())
}

pub(super) fn is_denial(code: &str) -> bool {
    matches!(
        code,
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "NotAuthorized"
    )
}

/// Makes our error of a code of AWS.
pub(crate) fn classified(
    code: &str,
    status: u16,
    message: &str,
    retry_after: Option<Duration>,
    permission: &str,
) -> StoreError {
    let trouble = match code {
        _ if is_denial(code) => Trouble::Forbidden,
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "TokenRefreshRequired"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "RequestTimeTooSkewed"
        | "RequestExpired"
        | "InvalidIdentityToken"
        | "IDPRejectedClaim"
        | "AuthFailure"
        | "OptInRequired" => Trouble::Unauthenticated,
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "ProvisionedThroughputExceededException"
        | "SlowDown"
        | "PriorRequestNotComplete" => Trouble::Throttled { retry_after },
        "ResourceNotFoundException"
        | "NoSuchBucket"
        | "ParameterNotFound"
        | "NotFoundException"
        | "ParameterVersionNotFound" => Trouble::Missing,
        "InternalFailure"
        | "InternalServiceError"
        | "InternalServerError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "KMSInternalException"
        | "KeyUnavailableException"
        | "DependencyTimeoutException" => Trouble::Unavailable,
        _ if status == 429 => Trouble::Throttled { retry_after },
        _ if status >= 500 => Trouble::Unavailable,
        "ResourceExistsException" | "ParameterAlreadyExists" | "ConflictException" => {
            Trouble::Conflict
        }
        _ => Trouble::Invalid,
    };
    let reason = match message.is_empty() {
        true => shown(code),
        false => format!("{}: {}", shown(code), shown(message)),
    };
    let error = StoreError::new(trouble, reason);
    match trouble {
        Trouble::Forbidden => {
            let error = error.lacking(permission);
            let principal = message
                .split_once("User: ")
                .and_then(|(_, rest)| rest.split_whitespace().next());
            let error = match principal {
                Some(principal) => error.as_principal(shown(principal)),
                None => error,
            };
            error.with_hint(format!("allow {permission} for this principal in IAM"))
        }
        Trouble::Unauthenticated => match code {
            "SignatureDoesNotMatch" | "InvalidSignatureException" => error.with_hint(
                "check the secret access key, and that the clock of this machine is right",
            ),
            _ => error,
        },
        _ => error,
    }
}

/// A text of AWS without what differs from call to call, so that the status of an object does not change all the time.
pub(crate) fn without_request_ids(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some(at) = rest.to_ascii_lowercase().find("request id: ") {
        out.push_str(&rest[..at]);
        let behind = &rest[at + "request id: ".len()..];
        let end = behind.find(char::is_whitespace).unwrap_or(behind.len());
        rest = &behind[end..];
    }
    out.push_str(rest);
    if let Some(at) = out.find(" Credential=") {
        out.truncate(at);
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_from_all_their_spellings() {
        assert_eq!(
            code_of("com.amazonaws.x#ResourceNotFoundException"),
            "ResourceNotFoundException"
        );
        assert_eq!(
            code_of("ValidationException:http://x/"),
            "ValidationException"
        );
        assert_eq!(
            in_xml(b"<R><Error><Code>AccessDenied</Code></Error></R>", "Code").as_deref(),
            Some("AccessDenied")
        );
    }

    #[test]
    fn a_denial_names_the_principal_and_the_permission() {
        let text = "User: arn:aws:iam::1:user/x is not authorized to perform: ssm:GetParameter on resource: y";
        let error = classified("AccessDeniedException", 400, text, None, "ssm:GetParameter");
        assert_eq!(error.trouble(), Trouble::Forbidden);
        assert_eq!(error.principal(), Some("arn:aws:iam::1:user/x"));
        assert_eq!(error.permission(), Some("ssm:GetParameter"));
    }

    #[test]
    fn what_differs_from_call_to_call_is_left_out() {
        assert_eq!(
            without_request_ids("denied, Request ID: 1b-2 and more Credential=AKIA/x"),
            "denied,  and more"
        );
    }
}
