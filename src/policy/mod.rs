//! Who may do what: nets, bans, consumers and limits. Plain decisions over compiled data; nothing here
//! does I/O or waits.

mod bans;
mod consumers;
mod limits;
mod nets;
mod places;
mod rules;
mod table;

pub use bans::{
    BadLine, Ban, BanCause, BanMode, BanRules, Bans, Judgement, TooManyBans, read_line, shown_net,
    write_line,
};
pub use consumers::{Consumer, Consumers, Previous, Principal, Standing};
pub use limits::{Charge, Holder, Lease, Leases, Limiter, LimiterSizes, Quota};
pub use nets::{AddressPolicy, Admittance, NetList, TrustedProxies};
pub use places::{Places, Ticket};
pub use rules::{BadGlob, Glob, Names, Rulebook, Rules, names_a_resource};
