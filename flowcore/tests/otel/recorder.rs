//! A tracer provider that keeps what it is given, in memory. That of
//! OpenTelemetry's SDK would build crates below DataFusion with other
//! features.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use opentelemetry::trace::{
    Span, SpanBuilder, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId,
    TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use parking_lot::Mutex;

#[derive(Clone, Debug)]
pub(crate) struct SpanData {
    pub(crate) span_context: SpanContext,
    pub(crate) parent_span_id: SpanId,
    pub(crate) name: Cow<'static, str>,
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) links: Vec<SpanId>,
    pub(crate) events: Vec<Cow<'static, str>>,
    pub(crate) status: Status,
    pub(crate) start_time: SystemTime,
    pub(crate) end_time: Option<SystemTime>,
}

/// Spans that have ended, in that order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    finished: Arc<Mutex<Vec<SpanData>>>,
    last: Arc<AtomicU64>,
}

#[derive(Debug)]
pub(crate) struct Recorded {
    data: SpanData,
    finished: Arc<Mutex<Vec<SpanData>>>,
}

impl Recorder {
    /// What has ended since the last time.
    pub(crate) fn take(&self) -> Vec<SpanData> {
        std::mem::take(&mut *self.finished.lock())
    }
}

impl TracerProvider for Recorder {
    type Tracer = Self;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> Self {
        assert_eq!(scope.name(), "flowcore");
        self.clone()
    }
}

impl Tracer for Recorder {
    type Span = Recorded;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Recorded {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let parent = parent.span().span_context().clone();
        let trace = if parent.is_valid() {
            parent.trace_id()
        } else {
            TraceId::from(u128::from(number))
        };
        let span_context = SpanContext::new(
            trace,
            SpanId::from(number),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        );
        let links = builder.links.unwrap_or_default().into_iter();
        Recorded {
            data: SpanData {
                span_context,
                parent_span_id: parent.span_id(),
                name: builder.name,
                attributes: builder.attributes.unwrap_or_default(),
                links: links.map(|link| link.span_context.span_id()).collect(),
                events: Vec::new(),
                status: Status::Unset,
                start_time: builder.start_time.expect("runs have begun"),
                end_time: None,
            },
            finished: Arc::clone(&self.finished),
        }
    }
}

impl Span for Recorded {
    fn add_event_with_timestamp<T>(&mut self, name: T, _: SystemTime, _: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        self.data.events.push(name.into());
    }

    fn span_context(&self) -> &SpanContext {
        &self.data.span_context
    }

    fn is_recording(&self) -> bool {
        self.data.end_time.is_none()
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        self.data.attributes.push(attribute);
    }

    fn set_status(&mut self, status: Status) {
        self.data.status = status;
    }

    fn update_name<T>(&mut self, name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        self.data.name = name.into();
    }

    fn add_link(&mut self, link: SpanContext, _: Vec<KeyValue>) {
        self.data.links.push(link.span_id());
    }

    fn end_with_timestamp(&mut self, at: SystemTime) {
        if self.data.end_time.replace(at).is_none() {
            self.finished.lock().push(self.data.clone());
        }
    }
}
