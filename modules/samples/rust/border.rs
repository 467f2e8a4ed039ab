//! Between Rust and the server, which is C: all that is unsafe is in this file. A start for Rust
//! modules of your own: what it leaves out of <pillion/module.h> is added as the rest is.
//!
//! No panic crosses the border, a request is answered exactly once or the module does not compile,
//! and a table of params is made of the structure that it fills.
#![allow(dead_code)]

use std::any::Any;
use std::ffi::CString;
use std::marker::PhantomData;
use std::mem::size_of;
use std::os::raw::{c_char, c_int, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::null;

// ---- <pillion/module.h>, 1.6 ----

pub const ABI_MAJOR: u32 = 1;
pub const ABI_MINOR: u32 = 6;

#[repr(C)]
pub struct RawRequest {
    _opaque: [u8; 0],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Bytes {
    data: *const c_char,
    size: usize,
}

/// pillion_param. A type of zeros.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Param {
    pub name: *const c_char,
    pub offset: usize,
    pub width: usize,
    pub kind: c_int,
    pub fallback: *const c_char,
    pub min: i64,
    pub max: i64,
    pub from: f64,
    pub to: f64,
    pub words: *const *const c_char,
    pub list: bool,
    pub least: usize,
    pub most: usize,
    pub members: *const Param,
    pub size: usize,
    pub open: bool,
    pub required: bool,
    pub given: usize,
    pub summary: *const c_char,
}

/// pillion_directive. None is used here; the descriptor has its size all the same.
#[repr(C)]
pub struct Directive {
    pub name: *const c_char,
    pub kind: c_int,
    pub offset: usize,
    pub fallback: *const c_char,
    pub min: i64,
    pub max: i64,
    pub words: *const *const c_char,
    pub required: bool,
    pub summary: *const c_char,
    pub check: *const c_void,
}

/// pillion_method.
#[repr(C)]
pub struct Method {
    pub name: *const c_char,
    pub handler: Option<extern "C" fn(*mut RawRequest)>,
    pub summary: *const c_char,
    pub params: *const c_char,
    pub result: *const c_char,
    pub idempotent: bool,
    pub directives: *const Directive,
    pub config_size: usize,
    pub start: *const c_void,
    pub read_only: bool,
    pub additive: bool,
    pub title: *const c_char,
    pub args: *const Param,
    pub args_size: usize,
    pub open: bool,
}

/// pillion_module.
#[repr(C)]
pub struct Module {
    pub abi_major: u32,
    pub abi_minor: u32,
    pub size: u32,
    pub method_size: u32,
    pub directive_size: u32,
    pub param_size: u32,
    pub name: *const c_char,
    pub version: *const c_char,
    pub summary: *const c_char,
    pub methods: *const Method,
    pub directives: *const Directive,
    pub config_size: usize,
    pub check: *const c_void,
    pub start: *const c_void,
    pub stop: *const c_void,
    pub filters: *const c_void,
    pub metrics: *const c_void,
    pub reopen: *const c_void,
    pub needs: u32, // PILLION_NEEDS_…
}

// What they point at is constant.
unsafe impl Sync for Param {}
unsafe impl Sync for Method {}
unsafe impl Sync for Module {}

extern "C" {
    fn pillion_args(req: *const RawRequest) -> *const c_void;
    fn pillion_fail(req: *mut RawRequest, code: *const c_char, format: *const c_char, ...);
    fn pillion_begin_object(req: *mut RawRequest, name: *const c_char);
    fn pillion_begin_array(req: *mut RawRequest, name: *const c_char);
    fn pillion_end(req: *mut RawRequest);
    fn pillion_put_text(req: *mut RawRequest, name: *const c_char, value: Bytes);
    fn pillion_put_integer(req: *mut RawRequest, name: *const c_char, value: i64);
    fn pillion_on_end(
        req: *mut RawRequest,
        ended: extern "C" fn(*mut c_void),
        data: *mut c_void,
    ) -> bool;
    fn pillion_offload(
        req: *mut RawRequest,
        timeout_ms: u64,
        work: extern "C" fn(*mut c_void),
        done: extern "C" fn(*mut RawRequest, *mut c_void),
        data: *mut c_void,
    );
}

// ---- Tables ----

impl Param {
    pub const ZERO: Param = Param {
        name: null(),
        offset: 0,
        width: 0,
        kind: 0,
        fallback: null(),
        min: 0,
        max: 0,
        from: 0.0,
        to: 0.0,
        words: null(),
        list: false,
        least: 0,
        most: 0,
        members: null(),
        size: 0,
        open: false,
        required: false,
        given: 0,
        summary: null(),
    };
}

impl Method {
    /// The end of a table.
    pub const ZERO: Method = Method {
        name: null(),
        handler: None,
        summary: null(),
        params: null(),
        result: null(),
        idempotent: false,
        directives: null(),
        config_size: 0,
        start: null(),
        read_only: false,
        additive: false,
        title: null(),
        args: null(),
        args_size: 0,
        open: false,
    };

    /// A method with the params `A`: the rest of its row.
    pub const fn takes<A: Args>() -> Method {
        Method { args: A::TABLE.as_ptr(), args_size: size_of::<A>(), ..Method::ZERO }
    }
}

/// A string for C.
#[macro_export]
macro_rules! c {
    ($text:expr) => {
        concat!($text, "\0").as_ptr() as *const std::os::raw::c_char
    };
}

/// A structure that params fill, made by `params!` alone: its table has to be true.
///
/// # Safety
/// TABLE describes the structure, and ends with a row of zeros.
pub unsafe trait Args {
    const TABLE: &'static [Param];
}

/// A type that a param may have.
///
/// # Safety
/// The server fills a param of this KIND as the type is laid out.
pub unsafe trait Field {
    const KIND: c_int;
}

unsafe impl Field for bool {
    const KIND: c_int = 1;
}
unsafe impl Field for i64 {
    const KIND: c_int = 2;
}
unsafe impl Field for f64 {
    const KIND: c_int = 9;
}
unsafe impl Field for Text {
    const KIND: c_int = 10;
}

/// PILLION_TEXT: a string, which the server has checked to be UTF-8.
#[repr(C)]
pub struct Text(Bytes);

impl Text {
    pub fn as_str(&self) -> &str {
        if self.0.data.is_null() {
            return "";
        }
        let bytes = unsafe { std::slice::from_raw_parts(self.0.data as *const u8, self.0.size) };
        std::str::from_utf8(bytes).unwrap_or("")
    }
}

/// The rows of a structure of #[repr(C)], whose members have these alignments, with their offsets.
pub const fn laid_out<const N: usize>(mut rows: [Param; N], aligns: [usize; N]) -> [Param; N] {
    let mut offset = 0;
    let mut row = 0;
    while row < N {
        offset = (offset + aligns[row] - 1) / aligns[row] * aligns[row];
        rows[row].offset = offset;
        offset += rows[row].width;
        row += 1;
    }
    rows[N - 1].offset = 0;
    rows
}

/// A structure and its table: `params! { struct Cut { text: Text { required: true }, at: i64 {} } }`.
/// In braces are members of `Param`.
#[macro_export]
macro_rules! params {
    (struct $name:ident { $($field:ident: $type:ty { $($key:ident: $value:expr),* }),* $(,)? }) => {
        #[repr(C)]
        struct $name {
            $($field: $type,)*
        }

        #[allow(unsafe_code)]
        unsafe impl $crate::border::Args for $name {
            const TABLE: &'static [$crate::border::Param] = &$crate::border::laid_out(
                [
                    $($crate::border::Param {
                        name: $crate::c!(stringify!($field)),
                        width: std::mem::size_of::<$type>(),
                        kind: <$type as $crate::border::Field>::KIND,
                        $($key: $value,)*
                        ..$crate::border::Param::ZERO
                    },)*
                    $crate::border::Param::ZERO,
                ],
                [$(std::mem::align_of::<$type>(),)* 1],
            );
        }
    };
}

/// The descriptor, and the note that tells the interface's version: `module!("rust", "1.0.0",
/// "Summary.", METHODS);`, once.
#[macro_export]
macro_rules! module {
    ($name:literal, $version:literal, $summary:literal, $methods:ident) => {
        #[allow(unsafe_code)]
        mod exported {
            #[used]
            #[link_section = ".note.pillion"]
            static NOTE: [u32; 7] = [
                8, // bytes of the name ...
                8, // ... and of what follows it
                1, // PILLION_NOTE_TYPE
                u32::from_ne_bytes(*b"Pill"),
                u32::from_ne_bytes(*b"ion\0"),
                $crate::border::ABI_MAJOR,
                $crate::border::ABI_MINOR,
            ];

            #[no_mangle]
            pub static pillion_module_descriptor: $crate::border::Module = $crate::border::Module {
                abi_major: $crate::border::ABI_MAJOR,
                abi_minor: $crate::border::ABI_MINOR,
                size: std::mem::size_of::<$crate::border::Module>() as u32,
                method_size: std::mem::size_of::<$crate::border::Method>() as u32,
                directive_size: std::mem::size_of::<$crate::border::Directive>() as u32,
                param_size: std::mem::size_of::<$crate::border::Param>() as u32,
                name: $crate::c!($name),
                version: $crate::c!($version),
                summary: $crate::c!($summary),
                methods: super::$methods.as_ptr(),
                directives: std::ptr::null(),
                config_size: 0,
                check: std::ptr::null(),
                start: std::ptr::null(),
                stop: std::ptr::null(),
                filters: std::ptr::null(),
                metrics: std::ptr::null(),
                reopen: std::ptr::null(),
                needs: 0,
            };
        }
    };
}

// ---- Requests ----

/// A request, which is to be answered: each of its functions takes it, and gives an `Answered`.
pub struct Request(*mut RawRequest);

/// Says that a request is answered, or will be. Only this file makes one.
pub struct Answered(PhantomData<*mut ()>);

fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}

impl Request {
    pub fn fail(self, code: &str, message: &str) -> Answered {
        let (code, message) = (c_string(code), c_string(message));
        unsafe { pillion_fail(self.0, code.as_ptr(), c!("%s"), message.as_ptr()) };
        Answered(PhantomData)
    }

    /// Replies with an object, whose members `write` puts.
    pub fn object(self, out: &str, write: impl FnOnce(&Object)) -> Answered {
        Object(self.0).nest(c_string(out).as_ptr(), pillion_begin_object, write);
        Answered(PhantomData)
    }

    /// Has `work` done in a thread of the pool, and then `done` on the loop, if somebody still
    /// waits.
    pub fn offload<T, W, D>(self, work: W, done: D) -> Answered
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
        D: FnOnce(T, Request) -> Answered + 'static,
    {
        let job = Job { work: Some(work), result: None::<std::thread::Result<T>>, done: Some(done) };
        let job = Box::into_raw(Box::new(job));
        let data = job as *mut c_void;
        unsafe {
            if !pillion_on_end(self.0, job_drop::<T, W, D>, data) {
                drop(Box::from_raw(job));
                return self.fail("overloaded", "out of memory");
            }
            pillion_offload(self.0, 0, job_work::<T, W, D>, job_done::<T, W, D>, data);
        }
        Answered(PhantomData)
    }
}

/// A handler for the table of methods: `handler: handler!(cut: Cut)` for
/// `fn cut(args: &Cut, req: Request) -> Answered`.
#[macro_export]
macro_rules! handler {
    ($function:ident: $args:ty) => {{
        #[allow(unsafe_code)]
        extern "C" fn border(raw: *mut $crate::border::RawRequest) {
            let function: fn(&$args, $crate::border::Request) -> $crate::border::Answered =
                $function;
            unsafe { $crate::border::run(raw, function) }
        }
        Some(border)
    }};
}

/// # Safety
/// `raw` is what the server gave to the handler of a method whose table is A's.
pub unsafe fn run<A: Args>(raw: *mut RawRequest, handler: fn(&A, Request) -> Answered) {
    let args = &*(pillion_args(raw) as *const A);
    stop_panic(raw, || handler(args, Request(raw)));
}

/// A panic is a mistake of the module's: its request is answered, and the worker goes on.
fn stop_panic(raw: *mut RawRequest, run: impl FnOnce() -> Answered) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        fail_panic(raw, panic);
    }
}

fn fail_panic(raw: *mut RawRequest, panic: Box<dyn Any + Send>) {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    Request(raw).fail("internal_error", text.unwrap_or("a panic"));
}

struct Job<T, W, D> {
    work: Option<W>,
    result: Option<std::thread::Result<T>>,
    done: Option<D>,
}

extern "C" fn job_work<T, W: FnOnce() -> T, D>(data: *mut c_void) {
    let job = unsafe { &mut *(data as *mut Job<T, W, D>) };
    job.result = job.work.take().map(|work| catch_unwind(AssertUnwindSafe(work)));
}

extern "C" fn job_done<T, W, D>(raw: *mut RawRequest, data: *mut c_void)
where
    D: FnOnce(T, Request) -> Answered,
{
    let job = unsafe { &mut *(data as *mut Job<T, W, D>) };
    if raw.is_null() {
        return; // nobody waits any more
    }
    match (job.result.take(), job.done.take()) {
        (Some(Ok(result)), Some(done)) => stop_panic(raw, || done(result, Request(raw))),
        (Some(Err(panic)), _) => fail_panic(raw, panic),
        _ => {}
    }
}

/// Once, when the request is over and no thread works for it.
extern "C" fn job_drop<T, W, D>(data: *mut c_void) {
    drop(unsafe { Box::from_raw(data as *mut Job<T, W, D>) });
}

// ---- Results ----

/// An object of a result that is being written.
pub struct Object(*mut RawRequest);
/// An array of a result that is being written.
pub struct Array(*mut RawRequest);

impl Object {
    fn nest(
        &self,
        name: *const c_char,
        begin: unsafe extern "C" fn(*mut RawRequest, *const c_char),
        write: impl FnOnce(&Object),
    ) {
        unsafe { begin(self.0, name) };
        write(&Object(self.0));
        unsafe { pillion_end(self.0) };
    }

    pub fn integer(&self, name: &str, value: i64) {
        unsafe { pillion_put_integer(self.0, c_string(name).as_ptr(), value) };
    }

    pub fn text(&self, name: &str, value: &str) {
        let value = Bytes { data: value.as_ptr() as *const c_char, size: value.len() };
        unsafe { pillion_put_text(self.0, c_string(name).as_ptr(), value) };
    }

    pub fn array(&self, name: &str, write: impl FnOnce(&Array)) {
        let name = c_string(name);
        self.nest(name.as_ptr(), pillion_begin_array, |inner| write(&Array(inner.0)));
    }
}

impl Array {
    pub fn object(&self, write: impl FnOnce(&Object)) {
        Object(self.0).nest(null(), pillion_begin_object, write);
    }
}
