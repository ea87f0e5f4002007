//! Why a request got no answer, or one that says no.

use std::error::Error as StdError;

use super::forbidden::is_unknown_key;
use crate::prefect::naming::{RULE, refused, shown};

/// What went wrong between us and the server.
///
/// Texts name the request and the cure; none holds a secret.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ApiError {
    #[error("{0}")]
    Setting(#[from] crate::settings::SettingError),
    #[error("{what}: {cause}; see PREFECT_API_SSL_CERT_FILE")]
    Tls { what: &'static str, cause: String },
    #[error(
        "the Prefect server at {url} cannot be reached: {cause}; is it running, and does PREFECT_API_URL name it?"
    )]
    Unreachable { url: String, cause: String },
    /// It shows a certificate that nobody here knows.
    #[error(
        "the Prefect server at {url} is not trusted: {cause}; set PREFECT_API_SSL_CERT_FILE to a file with the certificate of the authority that vouches for it"
    )]
    Untrusted { url: String, cause: String },
    /// The request may have been handled: no answer came back.
    #[error("{request}: no answer from the Prefect server at {url}: {cause}")]
    NoAnswer {
        request: String,
        url: String,
        cause: String,
    },
    #[error("{request}: the Prefect server answers {status} ({detail}); {cure}")]
    Refused {
        request: String,
        status: u16,
        detail: String,
        cure: &'static str,
    },
    /// The server would refuse the flow: nobody asks it.
    #[error(
        "flow `{name}` {}: call it otherwise by `#[flow(name = \"..\")]`; {RULE}",
        problem(name)
    )]
    FlowName { name: String },
    #[error("{request}: there is no such thing on the Prefect server ({detail})")]
    NotFound { request: String, detail: String },
    #[error("{request}: the Prefect server does not take it ({status}: {detail})")]
    Invalid {
        request: String,
        status: u16,
        detail: String,
    },
    /// No slot of a limit is free; the time after which to ask again.
    #[error("{request}: no slot is free")]
    Locked {
        request: String,
        retry_after: Option<std::time::Duration>,
    },
    #[error("{request}: the Prefect server fails with {status} ({detail})")]
    Failing {
        request: String,
        status: u16,
        detail: String,
    },
    #[error("{request}: the answer of the Prefect server is not understood: {cause}")]
    NotUnderstood { request: String, cause: String },
    #[error("what reports to the Prefect server has failed, which is a mistake of ours: {cause}")]
    Panicked { cause: String },
}

impl ApiError {
    /// What an answer's status says.
    pub(super) fn of_status(
        request: String,
        status: u16,
        body: &str,
        retry_after: Option<std::time::Duration>,
    ) -> Self {
        let detail = detail(body);
        match status {
            401 => Self::Refused {
                request,
                status,
                detail,
                cure: "set PREFECT_API_KEY (Prefect Cloud) or PREFECT_API_AUTH_STRING (a server of one's own)",
            },
            403 => Self::Refused {
                request,
                status,
                detail,
                cure: "what PREFECT_API_KEY or PREFECT_API_AUTH_STRING names may not do this",
            },
            404 => Self::NotFound { request, detail },
            423 => Self::Locked {
                request,
                retry_after,
            },
            400..500 => Self::Invalid {
                request,
                status,
                detail,
            },
            _ => Self::Failing {
                request,
                status,
                detail,
            },
        }
    }

    /// The status of an answer that says no.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. }
            | Self::Invalid { status, .. }
            | Self::Failing { status, .. } => Some(*status),
            Self::NotFound { .. } => Some(404),
            Self::Locked { .. } => Some(423),
            Self::Setting(_)
            | Self::FlowName { .. }
            | Self::Tls { .. }
            | Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::NoAnswer { .. }
            | Self::NotUnderstood { .. }
            | Self::Panicked { .. } => None,
        }
    }

    /// Whether the same request may succeed later, because it was the server
    /// or the way there that failed.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::NoAnswer { .. }
            | Self::Failing { .. } => true,
            Self::Invalid { status, .. } => matches!(status, 408 | 429),
            _ => false,
        }
    }

    /// There is no connection, for this cause.
    pub(super) fn unreached(url: String, cause: String) -> Self {
        // How rustls begins all that it says of certificates.
        if cause.contains("invalid peer certificate") {
            return Self::Untrusted { url, cause };
        }
        Self::Unreachable { url, cause }
    }

    /// Whether there was no connection.
    pub(crate) fn is_unreached(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Untrusted { .. })
    }

    /// Whether the server does not take us for somebody who may do this.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Whether the server does not know who we are.
    pub(crate) fn is_unknown_user(&self) -> bool {
        matches!(self, Self::Refused { status: 401, .. })
    }

    /// Whether the server may have done what was asked although it said
    /// nothing.
    pub(crate) fn is_doubtful(&self) -> bool {
        matches!(self, Self::NoAnswer { .. })
    }
}

/// What is wrong with a flow's name.
fn problem(name: &str) -> String {
    match refused(name) {
        Some(letter) => format!("has {} in its name, which Prefect refuses", shown(letter)),
        None => "has an empty name, which Prefect refuses".to_owned(),
    }
}

/// What the server says of an error, in one of its forms, and not too much of
/// it.
fn detail(body: &str) -> String {
    const LONGEST: usize = 400;
    let json: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let said = json.as_ref().and_then(|json| {
        ["exception_detail", "detail", "exception_message"]
            .iter()
            .find_map(|name| json.get(name))
    });
    let text = match said {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(serde_json::Value::Array(all)) if !all.is_empty() => {
            // Of a thing that can be one of several, each says why it is not
            // that one: what is missing of others, and what they do not have.
            let of_another = |error: &serde_json::Value| {
                let kind = error.get("type").and_then(|kind| kind.as_str());
                kind.is_some_and(|kind| kind.ends_with("missing") || is_unknown_key(kind))
            };
            let telling = all.iter().filter(|error| !of_another(error));
            let mut each: Vec<_> = telling.map(of_field).collect();
            if each.is_empty() {
                each = all.iter().map(of_field).collect();
            }
            each.join("; ")
        }
        Some(other) => other.to_string(),
        None => body.trim().to_owned(),
    };
    let mut cut: String = text.chars().take(LONGEST).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    if cut.is_empty() {
        cut.push_str("without a reason");
    }
    cut
}

/// FastAPI says of each field where it is and what is wrong. The input, which
/// it also repeats, may be a secret.
fn of_field(error: &serde_json::Value) -> String {
    let place = error.get("loc").and_then(|place| place.as_array());
    let place = place.into_iter().flatten().map(|part| match part {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    let place: Vec<_> = place.collect();
    let message = error.get("msg").and_then(|message| message.as_str());
    format!("{}: {}", place.join("."), message.unwrap_or("not valid"))
}

/// An error and its causes, without addresses: they may hold passwords.
pub(super) fn chain(error: reqwest::Error) -> String {
    chain_of(&error.without_url())
}

pub(super) fn chain_of(error: &(dyn StdError + 'static)) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
        cause = error.source();
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_errors_that_say_the_cure() {
        let error = |status, body: &str| {
            ApiError::of_status("POST /flows/".into(), status, body, None).to_string()
        };
        let unauthorized = error(401, "{\"exception_message\":\"Unauthorized\"}");
        assert!(
            unauthorized.contains("set PREFECT_API_KEY"),
            "{unauthorized}"
        );
        assert!(unauthorized.contains("Unauthorized"), "{unauthorized}");
        let field = r#"{"detail":[{"type":"extra_forbidden","loc":["body","labels"],"msg":"Extra inputs are not permitted","input":"secret"}]}"#;
        assert_eq!(
            error(422, field),
            "POST /flows/: the Prefect server does not take it (422: body.labels: Extra inputs are not permitted)"
        );
        // As servers with handlers of their own say it.
        let cron = r#"{"exception_message":"Invalid request received.","exception_detail":[
            {"type":"missing","loc":["body","schedule","Interval","interval"],"msg":"Field required"},
            {"type":"value_error","loc":["body","schedule","Cron","cron"],"msg":"no cron"}]}"#;
        assert_eq!(
            error(422, cron),
            "POST /flows/: the Prefect server does not take it (422: body.schedule.Cron.cron: no cron)"
        );
        assert!(error(404, "").contains("without a reason"));
        assert!(error(500, &"x".repeat(9000)).len() < 1000);
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let of = |status| ApiError::of_status(String::new(), status, "", None);
        let passing = [408, 429, 500, 502, 503].map(|status| of(status).may_pass());
        assert_eq!(passing, [true; 5]);
        let lasting = [400, 401, 403, 404, 409, 422, 423].map(|status| of(status).may_pass());
        assert_eq!(lasting, [false; 7]);
    }
}
