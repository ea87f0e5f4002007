use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::fixtures;

fn text(text: &str) -> Object {
    Object::String(text.into())
}

fn written(write: impl FnOnce(&mut Writer)) -> Bytes {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.finish().into()
}

/// Writes an object as the writer would be used for it, from the inside out.
fn write(object: &Object, writer: &mut Writer) {
    let all = |items: &[Object], writer: &mut Writer| {
        for item in items {
            write(item, writer);
        }
    };
    match object {
        Object::None => writer.none(),
        Object::Boolean(value) => writer.boolean(*value),
        Object::Integer(value) => writer.integer(*value),
        Object::Float(value) => writer.float(*value),
        Object::String(text) => writer.string(text),
        Object::Bytes(bytes) => writer.bytes(bytes),
        Object::Tuple(items) if (1..=3).contains(&items.len()) => {
            all(items, writer);
            writer.tuple_of(items.len());
        }
        Object::Tuple(items) => {
            writer.mark();
            all(items, writer);
            writer.tuple();
        }
        Object::Dict(entries) => {
            writer.empty_dict();
            if let [(key, value)] = &**entries {
                write(key, writer);
                write(value, writer);
                writer.set_item();
            } else {
                writer.mark();
                for (key, value) in &**entries {
                    write(key, writer);
                    write(value, writer);
                }
                writer.set_items();
            }
        }
        Object::Global(global) => writer.global(&global.module, &global.name),
        Object::Instance(instance) => {
            write(&instance.class, writer);
            write(&instance.arguments, writer);
            match &instance.keywords {
                Some(keywords) => {
                    write(keywords, writer);
                    writer.new_object();
                }
                None => writer.reduce(),
            }
        }
        other => panic!("{other:?} is never written"),
    }
}

fn objects() -> impl Strategy<Value = Object> {
    let leaf = prop_oneof![
        Just(Object::None),
        any::<bool>().prop_map(Object::Boolean),
        any::<i64>().prop_map(Object::Integer),
        (-70_000..70_000_i64).prop_map(Object::Integer),
        (-1e300..1e300).prop_map(Object::Float),
        ".{0,300}".prop_map(|text: String| Object::String(text.into())),
        proptest::collection::vec(any::<u8>(), 0..300)
            .prop_map(|bytes| Object::Bytes(bytes.into())),
        ("[a-z.]{1,9}", "[A-Z.]{1,9}").prop_map(|(module, name)| {
            let (module, name) = (module.into(), name.into());
            Object::Global(Global { module, name }.into())
        }),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let list = proptest::collection::vec(inner.clone(), 0..6);
        prop_oneof![
            list.clone().prop_map(|items| Object::Tuple(items.into())),
            proptest::collection::vec((inner.clone(), inner.clone()), 0..5)
                .prop_map(|entries| Object::Dict(entries.into())),
            (
                inner,
                list,
                proptest::option::of(Just(Object::Dict([].into())))
            )
                .prop_map(|(class, arguments, keywords)| {
                    let instance = Instance {
                        class,
                        arguments: Object::Tuple(arguments.into()),
                        keywords,
                        state: None,
                        items: Vec::new(),
                        entries: Vec::new(),
                    };
                    Object::Instance(instance.into())
                }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(object in objects()) {
        let pickle = written(|writer| write(&object, writer));
        prop_assert_eq!(read(&pickle).unwrap(), object);
    }

    /// Opcodes by chance, with small arguments: far more of them mean something than of bytes by
    /// chance.
    #[test]
    fn random_opcodes_are_read_or_refused(
        bytes in proptest::collection::vec(
            prop_oneof![
                proptest::sample::select(
                    &b"(.012GJKMNRXabcdehjlqrstu)]}BC\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\
                       \x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98"[..]
                ),
                0..9_u8,
                any::<u8>(),
            ],
            0..200,
        )
    ) {
        let mut pickle = vec![0x80, 4];
        pickle.extend(bytes);
        pickle.push(b'.');
        let buffers = [Bytes::from_static(b"one"), Bytes::from_static(b"two")];
        let _ = read_with_buffers(&pickle.into(), &buffers);
    }

    #[test]
    fn damaged_pickles_are_read_or_refused(
        name in proptest::sample::select(fixtures::names("pickle.")),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut pickle = fixtures::bytes(&name).to_vec();
        let at = at.index(pickle.len());
        pickle[at] = byte;
        let _ = read(&pickle.clone().into());
        pickle.truncate(at);
        prop_assert!(read(&pickle.into()).is_err());
    }

    #[test]
    fn integers_are_written_as_python_writes_them(value in any::<i128>(), bits in 0..128_u32) {
        let value = value >> bits;
        let read = read(&written(|writer| writer.integer(value))).unwrap();
        match (i64::try_from(value), read) {
            (Ok(small), Object::Integer(read)) => prop_assert_eq!(small, read),
            (Err(_), Object::BigInteger(bytes)) => {
                let mut whole = if value < 0 { [0xff; 16] } else { [0; 16] };
                whole[..bytes.len()].copy_from_slice(&bytes);
                prop_assert_eq!(i128::from_le_bytes(whole), value);
            }
            (_, other) => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn every_recorded_pickle_is_read() {
    for name in fixtures::names("pickle.") {
        let pickle = fixtures::bytes(&name);
        assert_eq!(
            pickle.len(),
            fixtures::meaning(&name)["total_len"],
            "{name}"
        );
        read(&pickle).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn what_we_write_by_hand_is_what_was_recorded() {
    let exception = written(|writer| {
        writer.global("builtins", "RuntimeError");
        writer.string("boom");
        writer.tuple_of(1);
        writer.reduce();
    });
    assert_eq!(exception, fixtures::bytes("pickle.exception.handmade"));

    let function = written(|writer| writer.global("builtins", "exec"));
    assert_eq!(function, fixtures::bytes("pickle.run-op.exec-function"));

    let arguments = written(|writer| {
        writer.string("open(p,'wb').write(data)");
        writer.empty_dict();
        writer.mark();
        writer.string("p");
        writer.string("out.bin");
        writer.string("data");
        writer.bytes(b"\x7fELF");
        writer.set_items();
        writer.tuple_of(2);
    });
    assert_eq!(arguments, fixtures::bytes("pickle.run-op.exec-args"));
}

#[test]
fn instances_keep_state_items_and_what_is_shared() {
    // class(), then appended to, set in and built, and twice in a tuple.
    let pickle = b"\x80\x05c__main__\nPoint\n)\x81\x94(K\x01K\x02e\x8c\x01k\x88sNbh\x00\x86.";
    let pair = read(&Bytes::from_static(pickle)).unwrap();
    let [one, other] = pair.elements().unwrap() else {
        panic!("{pair:?}")
    };
    assert_eq!(one, other);
    let instance = one.instance().unwrap();
    assert!(instance.class.global().unwrap().is("__main__", "Point"));
    assert_eq!(instance.items, [Object::Integer(1), Object::Integer(2)]);
    assert_eq!(instance.entries, [(text("k"), Object::Boolean(true))]);
    assert_eq!(instance.state, Some(Object::None));
}

#[test]
fn an_object_within_itself_ends() {
    let list = read(&Bytes::from_static(b"\x80\x04]\x94h\x00a.")).unwrap();
    assert_eq!(list, Object::List([Object::Recursive].into()));
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| {
        let mut pickle = vec![0x80, 4];
        pickle.extend(vec![b']'; depth]);
        pickle.extend(vec![b'a'; depth - 1]);
        pickle.push(b'.');
        read(&pickle.into())
    };
    assert!(nested(256).is_ok());
    assert_eq!(nested(257).unwrap_err(), PickleError::Depth { limit: 256 });
    assert!(nested(1_000_000).is_err());

    // Also where an object was finished higher up: the first list holds a tower of tuples, and
    // all further towers begin with it.
    let mut pickle = b"\x80\x04]N".to_vec();
    pickle.extend([0x85; 200]);
    pickle.extend(b"\x94a(h\x00");
    pickle.extend([0x85; 200]);
    pickle.extend(b"e.");
    let error = read(&pickle.into()).unwrap_err();
    assert_eq!(error, PickleError::Depth { limit: 256 });
}

#[test]
fn few_bytes_do_not_unfold_to_very_many() {
    // Each tuple holds the one before it twice.
    let mut pickle = b"\x80\x04N".to_vec();
    for _ in 0..60 {
        pickle.extend(b"2\x86");
    }
    pickle.push(b'.');
    let error = read(&pickle.into()).unwrap_err();
    assert!(matches!(error, PickleError::Unfolds { .. }), "{error}");
}

#[test]
fn lengths_out_of_the_air_are_refused() {
    for pickle in [
        &b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff."[..],
        b"\x80\x04B\xff\xff\xff\xff.",
        b"\x80\x04\x8b\xff\xff\xff\x7f.",
    ] {
        let error = read(&Bytes::from_static(pickle)).unwrap_err();
        assert!(matches!(error, PickleError::Truncated { .. }), "{error}");
    }
}

#[test]
fn integers_of_any_size() {
    let object = |digits: &str| {
        let long = fixtures::unhex(digits);
        let mut pickle = vec![0x80, 4, 0x8a, long.len() as u8];
        pickle.extend(long);
        pickle.push(b'.');
        read(&pickle.into()).unwrap()
    };
    assert_eq!(object(""), Object::Integer(0));
    assert_eq!(object("ff"), Object::Integer(-1));
    assert_eq!(object("ffffffffffffff7f0000"), Object::Integer(i64::MAX));
    assert_eq!(object("0080ffffffffffffffff"), Object::Integer(-32768));
    let big = fixtures::unhex("ffffffffffffffff00");
    assert_eq!(object("ffffffffffffffff00"), Object::BigInteger(big.into()));
}

#[test]
fn what_is_no_data_is_refused() {
    for (pickle, wanted) in [
        (
            &b"\x80\x06."[..],
            "the pickle has protocol 6; 2 to 5 can be read",
        ),
        (
            b"\x80\x04NQ.",
            "the opcode 0x51 at byte 3 is not one of data",
        ),
        (
            b"\x80\x04N.N",
            "the pickle ends at byte 4, but 1 more bytes follow",
        ),
        (
            b"\x80\x04(a.",
            "the opcode 0x61 at byte 3 needs more on the stack",
        ),
        (
            b"\x80\x04N(\x85.",
            "the opcode 0x85 at byte 4 needs more on the stack",
        ),
        (
            b"\x80\x04\x8c\x02\xff\xff.",
            "the string at byte 4 is not UTF-8",
        ),
        (
            b"\x80\x04h\x07.",
            "the opcode 0x68 at byte 2 needs an object that was memoized",
        ),
        (
            b"\x80\x04",
            "the pickle is cut off: 1 more bytes are wanted at byte 2",
        ),
        (
            b"\x80\x05\x97.",
            "the opcode 0x97 at byte 2 needs a buffer beside the pickle",
        ),
    ] {
        let error = read(&Bytes::from_static(pickle)).unwrap_err();
        assert_eq!(error.to_string(), wanted);
    }
}
