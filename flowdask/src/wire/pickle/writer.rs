//! Writes pickles, opcode by opcode.

use super::opcode;

/// Writes a pickle of protocol 4.
///
/// Methods that make a value push it onto the reader's stack; the others work on what is there. It
/// is not checked that the whole makes sense.
///
/// # Example
///
/// ```
/// use flowdask::wire::pickle::Writer;
///
/// let mut writer = Writer::new();
/// writer.global("builtins", "RuntimeError");
/// writer.string("boom");
/// writer.tuple_of(1);
/// writer.reduce();
/// assert!(writer.finish().ends_with(b"\x8c\x04boom\x85R."));
/// ```
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    memoized: u32,
}

/// An object that the reader was told to remember.
#[derive(Clone, Copy, Debug)]
pub struct Memoized(u32);

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// An empty pickle.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: vec![opcode::PROTO, 4],
            memoized: 0,
        }
    }

    /// A pickle that goes on after another one, with what that one says on top
    /// of the stack. The other one must remember nothing.
    pub(crate) fn after(pickle: &[u8]) -> Self {
        let before = pickle.strip_suffix(&[opcode::STOP]).unwrap_or(pickle);
        Self {
            bytes: before.to_vec(),
            memoized: 0,
        }
    }

    /// The pickle: what is on top of the stack is what it says.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(opcode::STOP);
        self.bytes
    }

    /// `None`.
    pub fn none(&mut self) {
        self.bytes.push(opcode::NONE);
    }

    /// A `bool`.
    pub fn boolean(&mut self, value: bool) {
        self.bytes.push(if value {
            opcode::NEWTRUE
        } else {
            opcode::NEWFALSE
        });
    }

    /// An `int`.
    pub fn integer(&mut self, value: impl Into<i128>) {
        let value = value.into();
        if let Ok(value) = u8::try_from(value) {
            self.bytes.extend([opcode::BININT1, value]);
        } else if let Ok(value) = u16::try_from(value) {
            self.opcode_with(opcode::BININT2, &value.to_le_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.opcode_with(opcode::BININT, &value.to_le_bytes());
        } else {
            let bytes = value.to_le_bytes();
            let length = two_complement_length(value);
            self.opcode_with(opcode::LONG1, &[length as u8]);
            self.bytes.extend(&bytes[..length]);
        }
    }

    /// A `float`.
    pub fn float(&mut self, value: f64) {
        self.opcode_with(opcode::BINFLOAT, &value.to_be_bytes());
    }

    /// A `str`.
    pub fn string(&mut self, text: &str) {
        let opcodes = [
            opcode::SHORT_BINUNICODE,
            opcode::BINUNICODE,
            opcode::BINUNICODE8,
        ];
        self.counted(opcodes, text.as_bytes());
    }

    /// A `bytes`.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let opcodes = [opcode::SHORT_BINBYTES, opcode::BINBYTES, opcode::BINBYTES8];
        self.counted(opcodes, bytes);
    }

    /// A class or function.
    pub fn global(&mut self, module: &str, name: &str) {
        self.string(module);
        self.string(name);
        self.bytes.push(opcode::STACK_GLOBAL);
    }

    /// Marks the stack.
    pub fn mark(&mut self) {
        self.bytes.push(opcode::MARK);
    }

    /// Makes all above the mark a tuple.
    pub fn tuple(&mut self) {
        self.bytes.push(opcode::TUPLE);
    }

    /// Makes the upper one to three values a tuple.
    ///
    /// # Panics
    ///
    /// If it is another number.
    pub fn tuple_of(&mut self, length: usize) {
        let tuples = [opcode::TUPLE1, opcode::TUPLE2, opcode::TUPLE3];
        self.bytes.push(tuples[length - 1]);
    }

    /// An empty `dict`.
    pub fn empty_dict(&mut self) {
        self.bytes.push(opcode::EMPTY_DICT);
    }

    /// Sets the upper value in the dict beneath key and value.
    pub fn set_item(&mut self) {
        self.bytes.push(opcode::SETITEM);
    }

    /// Sets all above the mark, key and value by turns, in the dict beneath.
    pub fn set_items(&mut self) {
        self.bytes.push(opcode::SETITEMS);
    }

    /// Calls what is beneath the tuple on top with the tuple.
    pub fn reduce(&mut self) {
        self.bytes.push(opcode::REDUCE);
    }

    /// Makes an instance of a class with a tuple and, on top, a dict of arguments.
    pub fn new_object(&mut self) {
        self.bytes.push(opcode::NEWOBJ_EX);
    }

    /// Lets the reader remember what is on top.
    pub fn memoize(&mut self) -> Memoized {
        self.bytes.push(opcode::MEMOIZE);
        self.memoized += 1;
        Memoized(self.memoized - 1)
    }

    /// What the reader was to remember, once more.
    pub fn recall(&mut self, memoized: Memoized) {
        match u8::try_from(memoized.0) {
            Ok(index) => self.bytes.extend([opcode::BINGET, index]),
            Err(_) => self.opcode_with(opcode::LONG_BINGET, &memoized.0.to_le_bytes()),
        }
    }

    fn opcode_with(&mut self, opcode: u8, argument: &[u8]) {
        self.bytes.push(opcode);
        self.bytes.extend_from_slice(argument);
    }

    /// Bytes with their length before them, in one, four or eight bytes.
    fn counted(&mut self, [short, medium, long]: [u8; 3], content: &[u8]) {
        let length = content.len();
        if let Ok(length) = u8::try_from(length) {
            self.opcode_with(short, &[length]);
        } else if let Ok(length) = u32::try_from(length) {
            self.opcode_with(medium, &length.to_le_bytes());
        } else {
            self.opcode_with(long, &(length as u64).to_le_bytes());
        }
        self.bytes.extend_from_slice(content);
    }
}

/// How many bytes of two's complement hold a number with its sign.
fn two_complement_length(value: i128) -> usize {
    let magnitude = if value < 0 { !value } else { value };
    let bits = i128::BITS - magnitude.leading_zeros() + 1;
    bits.div_ceil(8) as usize
}
