//! The file on a disk that works, and on one that does not.

use std::fs;

use super::*;

fn line(text: &str) -> Message {
    Message::Log(Box::new(crate::prefect::message::LogLine {
        logger: "prefect.flow_runs".to_owned(),
        level: 20,
        message: text.to_owned(),
        at: jiff::Timestamp::now(),
        flow: None,
        task_run: None,
    }))
}

#[test]
fn the_file_is_there_while_something_is_open_and_locked_and_private() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("outbox");
    let head = Head::new("http://server/api".to_owned());
    let mut ahead = WriteAhead::within(directory.clone(), head);
    assert!(
        !directory.exists(),
        "nothing is written before there is need"
    );
    ahead.message(&line("one"));
    ahead.flush();
    let path = ahead.path().unwrap().to_owned();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    for line in text.lines() {
        let _: Record = serde_json::from_str(line).unwrap();
    }
    let other = File::open(&path).unwrap();
    assert!(other.try_lock().is_err(), "its process lives");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mode = fs::metadata(&directory).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
    ahead.clear();
    assert!(!path.exists());
    ahead.message(&line("two"));
    ahead.flush();
    let path = ahead.path().unwrap().to_owned();
    drop(ahead);
    assert!(File::open(&path).unwrap().try_lock().is_ok());
}

fn text(message: Message) -> String {
    match message {
        Message::Log(line) => line.message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_waits_in_it_is_read_back_in_its_order_once() {
    let home = tempfile::tempdir().unwrap();
    let head = Head::new("http://server/api".to_owned());
    let mut ahead = WriteAhead::within(home.path().to_owned(), head);
    ahead.message(&line("not this"));
    let mut wanted = Vec::new();
    let mut read = Vec::new();
    for number in 0..20 {
        let later = format!("line {number}\n");
        assert!(ahead.later(&line(&later)));
        wanted.push(later);
        ahead.message(&line("nor this"));
        ahead.flush();
        if number == 12 {
            ahead.fill_disk();
        }
        if number == 13 {
            // The disk has refused it.
            assert!(ahead.is_broken());
            assert!(!ahead.later(&line("no room")));
            break;
        }
        for _ in 0..number % 3 {
            if read.len() < wanted.len() {
                let one = ahead.read_back(|message| {
                    read.push(text(message));
                    false
                });
                one.unwrap();
            }
        }
    }
    assert!(read.len() < wanted.len(), "some are to be read at the end");
    let rest = ahead.read_back(|message| {
        read.push(text(message));
        true
    });
    rest.unwrap();
    assert_eq!(read, wanted);
    assert!(ahead.buffer.is_empty());
    ahead.clear();
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn a_disk_that_refuses_is_no_reason_to_stop() {
    let home = tempfile::tempdir().unwrap();
    let blocked = home.path().join("file");
    fs::write(&blocked, "").unwrap();
    let head = Head::new("http://server/api".to_owned());
    let mut ahead = WriteAhead::within(blocked.join("outbox"), head);
    ahead.message(&line("one"));
    ahead.flush();
    assert!(ahead.path().is_none());
    ahead.message(&line("two"));
    ahead.flush();
    ahead.clear();
}

#[test]
fn a_line_that_was_torn_takes_no_other_with_it() {
    let home = tempfile::tempdir().unwrap();
    let head = Head::new("http://server/api".to_owned());
    let mut ahead = WriteAhead::within(home.path().to_owned(), head.clone());
    ahead.message(&line("whole"));
    ahead.flush();
    let path = ahead.path().unwrap().to_owned();
    drop(ahead);
    let mut file = File::options().read(true).append(true).open(&path).unwrap();
    for number in 0..2 {
        let torn = if number == 0 {
            "{\"Message\":{\"Lo"
        } else {
            ""
        };
        file.write_all(torn.as_bytes()).unwrap();
        let again = file.try_clone().unwrap();
        let mut ahead = WriteAhead::resumed(again, path.clone(), head.clone()).unwrap();
        assert!(ahead.later(&line(&format!("after {number}"))));
        ahead.flush();
        let read = ahead.read_back(|message| {
            assert_eq!(text(message), format!("after {number}"));
            true
        });
        read.unwrap();
    }
    let content = fs::read_to_string(&path).unwrap();
    let lines = content.lines().map(serde_json::from_str::<Record>);
    let readable: Vec<_> = lines.filter_map(Result::ok).collect();
    assert_eq!(readable.len(), 4, "{content}");
    assert_eq!(content.lines().count(), 5, "{content}");
}
