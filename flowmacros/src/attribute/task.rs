//! The options of `#[task]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ExprPath;

use super::common::Common;
use super::hooks::{self, Hook, HookKind};
use super::resources::{self, Resource};
use super::results::Results;
use super::retry::{self, RetryDelay};
use super::{options, value};
use crate::problems::Problems;

const KNOWN: [&str; 31] = [
    "name",
    "description",
    "version",
    "tags",
    "task_run_name",
    "retries",
    "retry_delay",
    "retry_jitter",
    "retry_if",
    "timeout",
    "priority",
    "batch",
    "report",
    "resources",
    "cache",
    "cache_key",
    "cache_expiration",
    "refresh_cache",
    "persist_result",
    "result_store",
    "isolation",
    "codec",
    "local",
    "on_running",
    "on_completion",
    "on_failure",
    "on_crashed",
    "on_cancellation",
    "on_commit",
    "on_rollback",
    "crate",
];

/// How results become bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Codec {
    #[default]
    MessagePack,
    Bincode,
}

const CODECS: [(&str, Codec); 2] = [
    ("message_pack", Codec::MessagePack),
    ("bincode", Codec::Bincode),
];

/// How rows of maps are told to a server: variants of `MapReport`.
const REPORTS: [(&str, &str); 3] = [
    ("rows", "Rows"),
    ("batches", "Batches"),
    ("summary", "Summary"),
];

/// `#[task(..)]`
#[derive(Default)]
pub(crate) struct TaskAttribute {
    pub(crate) common: Common,
    pub(crate) local: bool,
    pub(crate) codec: Codec,
    pub(crate) retries: Option<TokenStream>,
    pub(crate) retry_delay: Option<RetryDelay>,
    pub(crate) retry_jitter: Option<TokenStream>,
    /// The path of a function.
    pub(crate) retry_if: Option<ExprPath>,
    pub(crate) priority: Option<TokenStream>,
    pub(crate) batch: Option<TokenStream>,
    /// A variant of `MapReport`.
    pub(crate) report: Option<&'static str>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) results: Results,
    transaction_hooks: Vec<Hook>,
}

impl TaskAttribute {
    /// Reads the options; what is wrong keeps its default.
    pub(crate) fn parse(arguments: TokenStream, problems: &mut Problems) -> Self {
        let mut attribute = Self::default();
        let mut codec_place = None;
        for given in options(arguments, "task", &KNOWN, problems) {
            match given.name().as_str() {
                "local" => attribute.local = value::flag(&given, problems),
                "codec" => {
                    if let Some((codec, place)) = value::word(&given, &CODECS, "bincode", problems)
                    {
                        (attribute.codec, codec_place) = (codec, Some(place.clone()));
                    }
                }
                "retries" => attribute.retries = value::count(&given, problems),
                "priority" => attribute.priority = value::priority(&given, problems),
                "batch" => attribute.batch = value::positive_count(&given, problems),
                "report" => {
                    let report = value::word(&given, &REPORTS, "summary", problems);
                    attribute.report = report.map(|(report, _)| report);
                }
                "resources" => attribute.resources = resources::read(&given, problems),
                "retry_delay" => attribute.retry_delay = retry::delay(&given, problems),
                "retry_jitter" => attribute.retry_jitter = retry::jitter(&given, problems),
                "retry_if" => attribute.retry_if = retry::condition(&given, problems),
                _ if attribute.results.read(&given, problems) => {}
                _ if hooks::read_transaction(
                    &given,
                    &mut attribute.transaction_hooks,
                    problems,
                ) => {}
                _ => attribute.common.read(&given, problems),
            }
        }
        if let (true, Some(place)) = (attribute.local, codec_place) {
            problems.push(
                &place,
                "the results of a `local` task are never written down, so they have no codec: \
                 remove `local`, or this",
            );
        }
        attribute
    }

    /// The hooks of transactions as a field of the attributes, if there are any.
    pub(crate) fn transaction_hooks(&self) -> Option<TokenStream> {
        if self.transaction_hooks.is_empty() {
            return None;
        }
        let hooks = self.transaction_hooks.iter();
        let hooks = hooks.map(|hook| hook.tokens(HookKind::Transaction, &self.common.krate));
        Some(quote!(&[#(#hooks),*]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let mut problems = Problems::default();
        let attribute = TaskAttribute::parse(
            quote!(
                name = "load",
                description = "loads",
                tags = ["io", "nightly"],
                retries = 3,
                retry_delay = "10s",
                timeout = "1m",
                report = batches,
                task_run_name = "load-{path}",
                local
            ),
            &mut problems,
        );
        assert_eq!(problems.messages(), [""; 0]);
        assert!(attribute.local);
        assert_eq!(
            attribute
                .retries
                .map(|retries| retries.to_string())
                .as_deref(),
            Some("3u32")
        );
        assert!(attribute.retry_delay.is_some());
        assert_eq!(attribute.report, Some("Batches"));
        let common = attribute.common;
        assert_eq!(
            common.name.map(|name| name.value()).as_deref(),
            Some("load")
        );
        assert_eq!(common.tags.len(), 2);
        assert!(
            common.timeout.is_some() && common.run_name.is_some() && common.description.is_some()
        );
    }

    #[test]
    fn codecs_are_named() {
        let mut problems = Problems::default();
        let mut parse = |arguments| TaskAttribute::parse(arguments, &mut problems).codec;
        assert_eq!(parse(quote!()), Codec::MessagePack);
        assert_eq!(parse(quote!(codec = message_pack)), Codec::MessagePack);
        assert_eq!(parse(quote!(codec = bincode)), Codec::Bincode);
        for wrong in [
            quote!(codec = "bincode"),
            quote!(codec = bincod),
            quote!(codec),
        ] {
            assert_eq!(parse(wrong), Codec::MessagePack);
        }
        parse(quote!(local, codec = bincode));
        let messages = problems.messages();
        assert_eq!(messages.len(), 4, "{messages:?}");
        assert!(
            messages[1].ends_with("did you mean `bincode`?"),
            "{messages:?}"
        );
    }

    #[test]
    fn a_bad_option_keeps_its_default() {
        let mut problems = Problems::default();
        let attribute = TaskAttribute::parse(
            quote!(retries = -1, timeout = "soon", name = "x"),
            &mut problems,
        );
        assert_eq!(problems.messages().len(), 2);
        assert!(attribute.retries.is_none() && attribute.common.timeout.is_none());
        assert!(attribute.common.name.is_some());
    }
}
