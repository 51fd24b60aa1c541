//! Who may do what: nets, bans, consumers and limits. Plain decisions over compiled data; nothing here
//! does I/O or waits.

mod audit;
mod bans;
mod budgets;
mod consumers;
mod leases;
mod limits;
mod nets;
mod pins;
mod places;
mod pressure;
mod revocations;
mod rules;
mod table;
mod tool_limits;

pub use audit::{AuditFields, AuditLevel};
pub use bans::{
    BadLine, Ban, BanCause, BanMode, BanRules, Bans, Judgement, TooManyBans, read_line, shown_net,
    write_line,
};
pub use budgets::{
    Account, BadBudget, Budget, Budgets, Purse, Shortage, Spender, Spending, Used, read_used,
    write_used,
};
pub use consumers::{Certified, Consumer, Consumers, Previous, Principal, Standing, is_over};
pub use leases::{Lease, LeaseCounts, Leases};
pub use limits::{Aside, BucketKey, Charge, Holder, Limiter, LimiterSizes, Quota};
pub use nets::{AddressPolicy, Admittance, NetList, TrustedProxies};
pub use pins::{NothingToAccept, Pin, PinLine, PinMode, Pins, Sighting};
pub use places::{Places, Ticket};
pub use pressure::{Descriptors, Pressure};
pub use revocations::{
    Revocation, Revocations, Unchanged, read_revocation, read_salt, write_revocation, write_salt,
};
pub use rules::{
    ArgumentRules, BadGlob, Check, Glob, Moment, Names, Rulebook, Rules, Scalar, names_a_resource,
    time,
};
pub use table::{Bucket, Buckets};
pub use tool_limits::{ToolLimits, ToolRate};
