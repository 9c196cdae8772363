//! Answers of AWS STS, the service that gives temporary credentials.

use std::time::SystemTime;

use aws_config::imds::client::error::ImdsError;
use aws_credential_types::Credentials;

use crate::outcome::{StoreError, Trouble, shown};

pub(super) fn credentials_of(
    answer: Option<&aws_sdk_sts::types::Credentials>,
    provider: &'static str,
) -> Result<Credentials, StoreError> {
    let answer = answer.ok_or_else(|| {
        StoreError::new(
            Trouble::Malformed,
            "the answer of AWS STS holds no credentials",
        )
    })?;
    let end = SystemTime::try_from(*answer.expiration()).ok();
    Ok(Credentials::new(
        answer.access_key_id(),
        answer.secret_access_key(),
        Some(answer.session_token().to_owned()),
        end,
        provider,
    ))
}

/// Makes our error of one of STS, by its code; the text of the service names principal and role, and no secret.
pub(super) fn sts_error<E>(
    error: &aws_sdk_sts::error::SdkError<E, aws_sdk_sts::config::http::HttpResponse>,
    attempt: &str,
    permission: &str,
) -> StoreError
where
    E: aws_sdk_sts::error::ProvideErrorMetadata + std::error::Error + 'static,
{
    use aws_sdk_sts::error::SdkError;
    match error {
        SdkError::ServiceError(service) => {
            let metadata = service.err().meta();
            let code = metadata.code().unwrap_or("no code");
            let text = super::refusal::without_request_ids(metadata.message().unwrap_or_default());
            let status = service.raw().status().as_u16();
            let error = super::refusal::classified(code, status, &text, None, permission);
            error.while_trying(attempt)
        }
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => StoreError::new(
            Trouble::Unavailable,
            format!("AWS STS cannot be reached: {}", first_cause(error)),
        )
        .while_trying(attempt),
        _ => StoreError::new(
            Trouble::Malformed,
            "AWS STS gave an answer that is none of its own",
        )
        .while_trying(attempt),
    }
}

/// The innermost cause of an error: the chain above it repeats what we say ourselves.
pub(super) fn first_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    loop {
        // Its own words hold the whole answer, with what is secret in it and what differs from call to call.
        if let Some(ImdsError::ErrorResponse(refused)) = cause.downcast_ref::<ImdsError>() {
            let status = refused.response().status().as_u16();
            return format!("the instance metadata answer with HTTP status {status}");
        }
        match cause.source() {
            Some(inner) => cause = inner,
            None => return shown(&cause.to_string()),
        }
    }
}
