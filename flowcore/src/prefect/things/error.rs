//! Why the server did not do what a flow asked of it.

use crate::error::{Error, ErrorKind};
use crate::prefect::client::ApiError;
use crate::prefect::naming;

/// Why an artifact, a variable, a secret, an event or a deployment's run is not
/// there.
///
/// It comes as an [`Error`]; in the flow's process `downcast_ref` gives it
/// back.
///
/// ```
/// use flowcore::PrefectError;
///
/// # #[flowcore::main]
/// # async fn main() {
/// let error = flowcore::variables::get::<u32>("Not a name!").await.unwrap_err();
/// assert!(matches!(error.downcast_ref(), Some(PrefectError::Name { .. })));
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrefectError {
    /// No server is named.
    #[error(
        "there is no Prefect server to ask for {what}: set PREFECT_API_URL, such as `http://127.0.0.1:4200/api`"
    )]
    NoServer {
        /// What was asked for.
        what: &'static str,
    },
    /// Prefect refuses such names.
    #[error("{what} `{name}` is refused by Prefect{}: {rule}", because_of(*letter))]
    Name {
        /// What has the name.
        what: &'static str,
        /// The name.
        name: String,
        /// The first letter that it must not have, if it is that.
        letter: Option<char>,
        /// What names have to look like.
        rule: &'static str,
    },
    /// There is no such thing.
    #[error("there is no {what} `{name}` on the Prefect server{cure}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its name.
        name: String,
        /// What to do, after a colon or a semicolon.
        cure: String,
    },
    /// It is there, but is something else than asked for.
    #[error("{what} `{name}` is {problem}")]
    OfAnotherType {
        /// What was looked for.
        what: &'static str,
        /// Its name.
        name: String,
        /// What it is instead.
        problem: String,
    },
    /// What was given is no JSON.
    #[error("{what} cannot be written as JSON: {problem}")]
    NotJson {
        /// What was given.
        what: &'static str,
        /// Why.
        problem: String,
    },
    /// The parameters do not fit the deployment's flow.
    #[error("deployment `{deployment}` does not take these parameters: {problem}")]
    Parameters {
        /// The deployment.
        deployment: String,
        /// What the server says.
        problem: String,
    },
    /// The flow run cannot be paused from here.
    #[error("the flow run is not paused: {problem}")]
    NotPaused {
        /// Why.
        problem: &'static str,
    },
    /// The flow run cannot be suspended from here.
    #[error("the flow run is not suspended: {problem}")]
    NotSuspended {
        /// Why, and what to do.
        problem: &'static str,
    },
    /// The flow run is suspended: its process is about to end, and what is
    /// behind the call runs when somebody has resumed it.
    #[error("the flow run is suspended, and goes on in another process when somebody resumes it")]
    Suspended,
    /// These tasks cannot be served.
    #[error("no background tasks are served: {problem}")]
    NotServed {
        /// Why, and what to do.
        problem: String,
    },
    /// Nobody has resumed the flow run in time.
    #[error("nobody has resumed the flow run within {} second(s)", limit.as_secs_f64())]
    PauseTimedOut {
        /// How long it has waited.
        limit: std::time::Duration,
    },
    /// The flow says `api = required`, and the server does not know its run.
    #[error("`api = required`: {}{problem}", server(url.as_deref()))]
    NotReported {
        /// The server's address; `None`: none is named.
        url: Option<String>,
        /// The HTTP status that the server refused the run with, such as 401.
        status: Option<u16>,
        /// Why it does not know the run, and what to do.
        problem: String,
    },
    /// The credentials do not do.
    #[error("{problem}")]
    Refused {
        /// The HTTP status, 401 or 403.
        status: u16,
        /// What the server says, and what to set.
        problem: String,
    },
    /// The server says no, or nothing.
    #[error("{0}")]
    Server(String),
}

fn because_of(letter: Option<char>) -> String {
    letter.map_or_else(String::new, |letter| {
        format!(", because of its {}", naming::shown(letter))
    })
}

/// How a sentence about a server begins.
fn server(url: Option<&str>) -> String {
    url.map_or_else(String::new, |url| {
        format!("the flow run is not on the Prefect server at {url}: ")
    })
}

impl From<ApiError> for PrefectError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Refused { status, .. } => Self::Refused {
                status,
                problem: error.to_string(),
            },
            _ => Self::Server(error.to_string()),
        }
    }
}

impl PrefectError {
    pub(in crate::prefect) fn into_error(self) -> Error {
        let kind = match self {
            Self::PauseTimedOut { .. }
            | Self::Server(_)
            | Self::Refused { .. }
            | Self::NotReported { .. }
            | Self::NotFound { .. } => ErrorKind::Other,
            Self::Suspended => ErrorKind::Cancelled,
            _ => ErrorKind::Invalid,
        };
        let message = self.to_string();
        Error::build(kind, message).value(Box::new(self)).finish()
    }
}
