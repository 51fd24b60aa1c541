use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

/// A file of 100 bytes with two older ones.
fn small(dir: &TempDir) -> AuditFile {
    let path = dir.path().join("audit.jsonl");
    AuditFile::open(AuditRotation { path, size: 100, keep: 2 }).unwrap()
}

fn put(file: &mut AuditFile, lines: &str) {
    assert!(file.put(lines.as_bytes(), true).is_ok());
}

fn read(dir: &TempDir, name: &str) -> Option<String> {
    fs::read_to_string(dir.path().join(name)).ok()
}

/// A line of 40 bytes.
fn line(number: u32) -> String {
    format!("{number:039}\n")
}

#[test]
fn it_is_for_its_owner_alone_and_is_only_added_to() {
    let dir = TempDir::new().unwrap();
    put(&mut small(&dir), "one\n");
    put(&mut small(&dir), "two\n");
    assert_eq!(read(&dir, "audit.jsonl").unwrap(), "one\ntwo\n");
    let mode = fs::metadata(dir.path().join("audit.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_full_file_is_put_aside_with_whole_lines_and_the_oldest_goes() {
    let dir = TempDir::new().unwrap();
    let mut file = small(&dir);
    let lines = |numbers: std::ops::Range<u32>| numbers.map(line).collect::<String>();
    put(&mut file, &lines(0..1));
    // In one batch, and still no file is larger.
    put(&mut file, &lines(1..7));
    assert_eq!(read(&dir, "audit.jsonl").unwrap(), lines(6..7));
    assert_eq!(read(&dir, "audit.jsonl.1").unwrap(), lines(4..6));
    assert_eq!(read(&dir, "audit.jsonl.2").unwrap(), lines(2..4));
    assert_eq!(read(&dir, "audit.jsonl.3"), None);
    // Fewer are kept from now on.
    let rotation = AuditRotation { keep: 1, ..file.rotation };
    put(&mut AuditFile::open(rotation).unwrap(), &lines(7..9));
    assert_eq!(read(&dir, "audit.jsonl").unwrap(), lines(8..9));
    assert_eq!(read(&dir, "audit.jsonl.2"), None);
}

#[test]
fn a_line_larger_than_a_file_has_one_to_itself() {
    let dir = TempDir::new().unwrap();
    let long = "x".repeat(300) + "\n";
    put(&mut small(&dir), &format!("{}{long}{}", line(1), line(2)));
    assert_eq!(read(&dir, "audit.jsonl").unwrap(), line(2));
    assert_eq!(read(&dir, "audit.jsonl.1").unwrap(), long);
    assert_eq!(read(&dir, "audit.jsonl.2").unwrap(), line(1));
}

#[test]
fn a_file_that_was_moved_or_removed_is_begun_anew() {
    let dir = TempDir::new().unwrap();
    let (mut file, path) = (small(&dir), dir.path().join("audit.jsonl"));
    put(&mut file, "one\n");
    fs::rename(&path, dir.path().join("moved")).unwrap();
    put(&mut file, "two\n");
    fs::remove_file(&path).unwrap();
    put(&mut file, "three\n");
    assert_eq!(read(&dir, "moved").unwrap(), "one\n");
    assert_eq!(read(&dir, "audit.jsonl").unwrap(), "three\n");
    // Another one stands there, as logrotate has it with `create`.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "").unwrap();
    put(&mut file, "four\n");
    assert_eq!(read(&dir, "audit.jsonl").unwrap(), "four\n");
    // Cut to nothing in its place, as it has it with `copytruncate`.
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    put(&mut file, "five\n");
    assert_eq!(read(&dir, "audit.jsonl").unwrap(), "five\n");
}

#[test]
fn a_line_that_was_torn_is_no_part_of_the_next() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("audit.jsonl"), "whole\nhal").unwrap();
    put(&mut small(&dir), "next\n");
    assert_eq!(read(&dir, "audit.jsonl").unwrap(), "whole\nhal\nnext\n");
}

#[test]
fn what_can_not_be_opened_is_a_fault_until_it_can() {
    let dir = TempDir::new().unwrap();
    let mut file = small(&dir);
    let elsewhere = dir.path().with_extension("elsewhere");
    fs::rename(dir.path(), &elsewhere).unwrap();
    let fault = file.put(b"one\n", false).err().unwrap();
    assert_eq!((fault.written, fault.why.kind()), (0, io::ErrorKind::NotFound));
    fs::rename(&elsewhere, dir.path()).unwrap();
    put(&mut file, "one\n");
    assert_eq!(read(&dir, "audit.jsonl").unwrap(), "one\n");
}

#[test]
fn where_it_can_not_be_put_aside_it_grows() {
    let dir = TempDir::new().unwrap();
    let mut file = small(&dir);
    // A file can't be renamed to a directory.
    let in_the_way = dir.path().join("audit.jsonl.1");
    fs::create_dir_all(in_the_way.join("x")).unwrap();
    fs::create_dir_all(dir.path().join("audit.jsonl.2").join("x")).unwrap();
    let lines: String = (0..5).map(line).collect();
    put(&mut file, &lines);
    assert_eq!(read(&dir, "audit.jsonl").unwrap(), lines);
    fs::remove_dir_all(&in_the_way).unwrap();
    put(&mut file, &line(5));
    assert_eq!(read(&dir, "audit.jsonl.1").unwrap(), lines);
    assert_eq!(read(&dir, "audit.jsonl").unwrap(), line(5));
}

#[test]
fn what_is_no_plain_file_is_refused_at_once() {
    let dir = TempDir::new().unwrap();
    let open = |path: &Path| {
        let rotation = AuditRotation { path: path.to_owned(), size: 100, keep: 1 };
        AuditFile::open(rotation).err().unwrap().to_string()
    };
    // A reader that never comes would hold whoever opens a FIFO.
    let fifo = dir.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for path in [&fifo, Path::new("/dev/full"), dir.path()] {
        assert_eq!(open(path), "not a plain file", "{}", path.display());
    }
}

#[test]
fn a_file_that_can_not_be_put_aside_grows_and_costs_no_older_one() {
    let dir = TempDir::new().unwrap();
    let mut file = small(&dir);
    put(&mut file, &line(0).repeat(6));
    let older = (read(&dir, "audit.jsonl.1"), read(&dir, "audit.jsonl.2"));
    assert!(older.0.is_some() && older.1.is_some());
    // Nothing can take this name.
    fs::create_dir_all(dir.path().join("audit.jsonl.0/x")).unwrap();
    for number in 1..9 {
        put(&mut file, &line(number));
    }
    assert_eq!((read(&dir, "audit.jsonl.1"), read(&dir, "audit.jsonl.2")), older);
    fs::remove_dir_all(dir.path().join("audit.jsonl.0")).unwrap();
    // What comes between stands in the way no longer, and the second of the older ones does.
    fs::remove_file(dir.path().join("audit.jsonl.2")).unwrap();
    fs::create_dir_all(dir.path().join("audit.jsonl.2/x")).unwrap();
    put(&mut file, &line(9));
    let all = read(&dir, "audit.jsonl").unwrap();
    assert!((1..=9).all(|number| all.contains(&line(number))), "{all}");
    assert_eq!(read(&dir, "audit.jsonl.1"), older.0);
}
