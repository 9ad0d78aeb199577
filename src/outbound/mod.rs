//! Everything this server asks of others, and the only place where it calls out. It cannot reach the store,
//! so nobody far away who is slow can hold it.

pub mod clip;
mod code_exchange;
pub mod discovery;
pub mod guard;
pub mod http;
pub mod jwks;
pub mod on_call;
pub mod slack;
pub mod smtp;

pub use code_exchange::{CodeClient, form_encoded};
pub use guard::NetworkReach;
pub use http::{Http, OutboundFailure};
pub use jwks::Jwks;
pub use on_call::OnCallApi;
pub use slack::{SlackApi, SlackFailure};
pub use smtp::{Mail, MailFailure, MailSession, MailThreads};
