use std::{fs, num::NonZeroU32, path::Path};

use jiff::tz::TimeZone;

use super::*;
use crate::{
    config::{Surroundings, compile_text},
    observe::{LogSink, tracing_dispatch},
    policy::{Account, Budget, Glob, Purse},
    types::Name,
};

fn keeper(dir: &Path) -> (Arc<Budgets>, BudgetKeeper, Metrics) {
    let text = format!(
        "listeners = [{{ name = \"http\", address = \"127.0.0.1:0\" }}]\n\
         upstreams.postiz.endpoints = [\"http://127.0.0.1:1\"]\n\
         routes = [{{ name = \"mcp\", paths = [\"/mcp\"], upstream = \"postiz\" }}]\n\
         state.dir = {dir:?}\n"
    );
    let around = Surroundings {
        base_dir: Path::new("."),
        environment: &|_| None,
        now: std::time::SystemTime::UNIX_EPOCH,
    };
    let snapshot = compile_text(&text, around).snapshot.unwrap();
    let budgets = Arc::new(Budgets::new(64, &TimeZone::UTC, Timestamp::now()));
    let metrics = Metrics::new(&LogSink::memory());
    let world = World::alone(snapshot);
    let keeper = BudgetKeeper::new(&budgets, &metrics, (&world, ""));
    (budgets, keeper, metrics)
}

fn spend(budgets: &Budgets) -> bool {
    let purse = Purse::Consumer(Name::parse("scheduler").unwrap());
    let tools = Glob::parse("post*").unwrap();
    let all = [Budget { tools, calls: NonZeroU32::new(2).unwrap() }].into_iter().collect();
    let account = Account { purse: &purse, budgets: &all, is_proven: false };
    let call = [(0, Some("post"))].into_iter();
    let taken = budgets.take(account, call, (&TimeZone::UTC, Timestamp::now()));
    taken.map(|mut spending| spending.sent()).is_ok()
}

fn series(metrics: &Metrics) -> Option<String> {
    let text = metrics.render();
    let of_budgets = text.lines().find(|line| line.starts_with("portcullis_budget_used_ratio{"));
    of_budgets.map(str::to_owned)
}

#[test]
fn what_is_used_is_kept_and_shown_and_nothing_is_written_without_need() {
    let dir = tempfile::TempDir::new().unwrap();
    let (budgets, first, metrics) = keeper(dir.path());
    first.turn();
    let file = dir.path().join("budgets");
    assert!(!file.exists() && series(&metrics).is_none());
    assert!(spend(&budgets));
    first.turn();
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let line = format!("{today} 1/2 consumer scheduler post*\n");
    assert_eq!(fs::read_to_string(&file).unwrap(), line);
    let shown = r#"portcullis_budget_used_ratio{budget="post*",consumer="scheduler",route=""} 0.5"#;
    assert_eq!(series(&metrics).as_deref(), Some(shown));
    let (again, keeper, metrics) = keeper(dir.path());
    keeper.turn();
    assert_eq!(series(&metrics).as_deref(), Some(shown), "a restart goes on with it");
    assert!(spend(&again) && !spend(&again));
}

#[test]
fn a_damaged_line_is_left_out_and_said_and_the_file_put_aside() {
    let dir = tempfile::TempDir::new().unwrap();
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let lines = format!(
        "2020-01-01 2/2 consumer scheduler post*\n{today} 1/2 consumer\n\
         {today} 1/2 consumer scheduler post*\n{today} 0/2 consumer scheduler *"
    );
    fs::write(dir.path().join("budgets"), lines).unwrap();
    let sink = LogSink::memory();
    let dispatch = tracing_dispatch(&sink, "info").unwrap();
    let (budgets, ..) = tracing::dispatcher::with_default(&dispatch, || keeper(dir.path()));
    assert!(spend(&budgets) && !spend(&budgets), "one of two was used");
    let said = sink.contents();
    assert!(said.contains("\"damaged\":\"2\",\"first\":\"2\""), "{said}");
    assert!(said.contains("lines of the budgets") && dir.path().join("budgets.bad").exists());
}
