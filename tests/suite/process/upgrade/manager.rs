//! What a service manager is told (sd_notify(3)).

use std::os::unix::net::UnixDatagram;

use super::*;

/// Where a manager would listen.
fn manager(house: &House) -> UnixDatagram {
    let socket = UnixDatagram::bind(house.dir.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn next(manager: &UnixDatagram) -> String {
    let mut bytes = [0; 512];
    let count = manager.recv(&mut bytes).unwrap();
    String::from_utf8(bytes[..count].to_vec()).unwrap()
}

#[test]
fn it_is_told_of_the_start_of_a_reload_of_the_process_that_takes_over_and_of_the_end() {
    let house = House::new("");
    let manager = manager(&house);
    let told = |command: &mut Command| {
        command.env("NOTIFY_SOCKET", house.dir.path().join("notify"));
    };
    let old = house.begin(told);
    assert_eq!(next(&manager), "READY=1\n");
    old.signal("HUP");
    let reloading = next(&manager);
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().trim_end();
    assert!(time.parse::<u64>().unwrap() > 0);
    assert_eq!(next(&manager), "READY=1\n");
    let new = house.begin(|command| {
        told(command);
        command.arg("--upgrade");
    });
    assert_eq!(next(&manager), format!("MAINPID={}\n", new.child.id()));
    assert_eq!(old.ends().0, Some(0));
    new.signal("TERM");
    assert_eq!(next(&manager), "STOPPING=1\n");
    assert_eq!(new.ends().0, Some(0));
}

#[test]
fn a_signal_starts_the_program_that_takes_over() {
    let house = House::new("");
    let manager = manager(&house);
    let old = house.begin(|command| {
        command.env("NOTIFY_SOCKET", house.dir.path().join("notify"));
    });
    assert_eq!(next(&manager), "READY=1\n");
    old.signal("USR2");
    let said = next(&manager);
    let pid = said.strip_prefix("MAINPID=").unwrap().trim_end().to_owned();
    assert_ne!(pid, old.child.id().to_string());
    assert_eq!(house.connect().call("one").unwrap().0, 200);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap();
    assert_ne!(parent, old.child.id().to_string(), "it is nobody's child");
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    assert_eq!(next(&manager), "STOPPING=1\n");
    drop(old);
}

/// A gateway that is the first process of its container; `None` where the machine makes none.
fn contained(house: &House) -> Option<Resident> {
    let root = rustix::process::geteuid().is_root();
    let own: &[&str] = if root { &["--pid"] } else { &["--user", "--pid"] };
    let can = Command::new("unshare").args(own).args(["--fork", "true"]).status();
    if !can.is_ok_and(|status| status.success()) {
        return None;
    }
    let mut wrapper = vec!["unshare"];
    wrapper.extend(own);
    wrapper.extend(["--fork", "--kill-child"]);
    let mut child =
        super::super::starting::wrapped(&wrapper, command(&house.file())).spawn().unwrap();
    let out = collect(child.stdout.take().unwrap());
    let err = collect(child.stderr.take().unwrap());
    until("it serves", || house.admin("/readyz").is_some_and(|said| said.contains("200 OK")));
    Some(Resident { child, out, err })
}

#[test]
fn the_first_process_of_a_container_drains_at_sigterm_and_hands_over_to_nobody() {
    let house = House::new("");
    house.write(&house.text("").replace("\"1h\"", "\"1h\"\nshutdown = \"100ms\""));
    let Some(resident) = contained(&house) else { return };
    let (code, said) = house.next().ends();
    assert_eq!(code, Some(1));
    assert!(said.contains("which ends with it; start another container"), "{said}");
    let mut stream = house.connect().open("/api/mcp");
    let id = resident.child.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let first = children.trim();
    assert!(Command::new("kill").args(["-s", "TERM", first]).status().unwrap().success());
    assert!(stream.rest().last().unwrap().starts_with("retry: "), "a clean end");
    assert_eq!(resident.ends().0, Some(0));
}
