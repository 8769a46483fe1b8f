//! A file system layer for SQLite (VFS, <https://www.sqlite.org/vfs.html>) that passes every call on to the default one
//! and fails at the step that a test chooses. A database uses it through `?vfs=NAME` in its URL.

use std::ffi::{CString, c_char, c_int, c_void};
use std::mem::size_of;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use libsqlite3_sys as ffi;

/// An operation that SQLite performs on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reads bytes.
    Read,
    /// Writes bytes.
    Write,
    /// Makes written bytes durable.
    Sync,
    /// Truncates a file.
    Truncate,
    /// Deletes a file.
    Delete,
    /// Maps the index of the write-ahead log into memory.
    ShmMap,
    /// Takes a lock on that index.
    ShmLock,
}

impl Step {
    /// Steps that change something.
    pub const CHANGES: &[Self] = &[Self::Write, Self::Sync, Self::Truncate, Self::Delete, Self::ShmMap];

    /// Steps that only read.
    pub const LOOKS: &[Self] = &[Self::Read, Self::ShmLock, Self::ShmMap];

    /// Returns the code that SQLite itself returns if the system call fails.
    fn failure(self, write: c_int) -> c_int {
        match self {
            Self::Read => ffi::SQLITE_IOERR_READ,
            Self::Write => write,
            Self::Sync => ffi::SQLITE_IOERR_FSYNC,
            Self::Truncate => ffi::SQLITE_IOERR_TRUNCATE,
            Self::Delete => ffi::SQLITE_IOERR_DELETE,
            Self::ShmMap => ffi::SQLITE_IOERR_SHMMAP,
            Self::ShmLock => ffi::SQLITE_IOERR_SHMLOCK,
        }
    }
}

/// A fault to inject.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The steps that are counted.
    pub steps: &'static [Step],
    /// The first step that fails, counted from 1.
    pub at: u64,
    /// Whether all later steps fail too.
    pub lasting: bool,
    /// The code that a failing write returns, for example `SQLITE_FULL` or `SQLITE_IOERR_WRITE`.
    pub write: c_int,
}

/// The faults of one layer.
#[derive(Default)]
pub struct Faults {
    /// The fault to inject, and the number of steps since it was armed.
    armed: Mutex<Option<(Fault, u64)>>,
}

impl Faults {
    /// Registers a layer with this name until the process ends.
    #[expect(unsafe_code, reason = "a VFS is registered through SQLite's C interface")]
    pub fn register(name: &str) -> &'static Self {
        let faults: &'static Self = Box::leak(Box::default());
        let name = CString::new(name).expect("a name").into_raw();
        // SAFETY: the default VFS lives as long as the process, and so does everything that is created here. The
        // functions that are copied unchanged ignore the VFS that they are called with.
        unsafe {
            let usual = *ffi::sqlite3_vfs_find(ptr::null());
            let layer = Box::leak(Box::new(ffi::sqlite3_vfs {
                szOsFile: usual.szOsFile + size_of::<File>() as c_int,
                pNext: ptr::null_mut(),
                zName: name,
                pAppData: ptr::from_ref(faults).cast_mut().cast(),
                xOpen: Some(open),
                xDelete: Some(delete),
                ..usual
            }));
            assert_eq!(ffi::sqlite3_vfs_register(layer, 0), ffi::SQLITE_OK);
        }
        faults
    }

    /// Injects this fault from now on.
    pub fn arm(&self, fault: Fault) {
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) = Some((fault, 0));
    }

    /// Injects no fault from now on; returns whether any step has failed since the last fault was armed.
    pub fn heal(&self) -> bool {
        let armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner).take();
        armed.is_some_and(|(fault, taken)| taken >= fault.at)
    }

    /// Returns the error code of a step, if it should fail.
    fn strikes(&self, step: Step) -> Option<c_int> {
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        let (fault, taken) = armed.as_mut().filter(|(fault, _)| fault.steps.contains(&step))?;
        *taken += 1;
        let fails = *taken == fault.at || (fault.lasting && *taken > fault.at);
        fails.then(|| step.failure(fault.write))
    }
}

/// The file as SQLite sees it. The default VFS's file follows it in memory.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    faults: &'static Faults,
}

#[expect(unsafe_code, reason = "called by SQLite with the file that `open` has made")]
unsafe fn faults(file: *mut ffi::sqlite3_file) -> &'static Faults {
    // SAFETY: guaranteed by the caller.
    unsafe { (*file.cast::<File>()).faults }
}

#[expect(unsafe_code, reason = "called by SQLite with the file that `open` has made")]
unsafe fn usual(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: SQLite has allocated `szOsFile` bytes, in which the default VFS's file follows.
    unsafe { file.cast::<File>().add(1).cast() }
}

#[expect(unsafe_code, reason = "called by SQLite")]
unsafe extern "C" fn open(
    layer: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: `register` has created `layer`, and `file` has room for both files.
    unsafe {
        let vfs = ffi::sqlite3_vfs_find(ptr::null());
        let real = usual(file);
        let done = (*vfs).xOpen.map_or(ffi::SQLITE_CANTOPEN, |open| open(vfs, name, real, flags, out_flags));
        let methods = if (*real).pMethods.is_null() { ptr::null() } else { &raw const METHODS };
        let base = ffi::sqlite3_file { pMethods: methods };
        file.cast::<File>().write(File { base, faults: &*(*layer).pAppData.cast::<Faults>() });
        done
    }
}

#[expect(unsafe_code, reason = "called by SQLite")]
unsafe extern "C" fn delete(layer: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: `register` has created `layer`.
    unsafe {
        if let Some(failure) = (*(*layer).pAppData.cast::<Faults>()).strikes(Step::Delete) {
            return failure;
        }
        let vfs = ffi::sqlite3_vfs_find(ptr::null());
        (*vfs).xDelete.map_or(ffi::SQLITE_IOERR_DELETE, |delete| delete(vfs, name, sync))
    }
}

/// Defines a method that calls the default file's method, after its step if it has one.
macro_rules! passed_on {
    ($name:ident, $method:ident $(, $step:expr)?; $($argument:ident: $kind:ty),*) => {
        #[expect(unsafe_code, reason = "called by SQLite")]
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file, $($argument: $kind),*) -> c_int {
            // SAFETY: `open` has initialized the file and opened the default one.
            unsafe {
                $(if let Some(failure) = faults(file).strikes($step) {
                    return failure;
                })?
                let real = usual(file);
                (*(*real).pMethods).$method.map_or(ffi::SQLITE_IOERR, |method| method(real, $($argument),*))
            }
        }
    };
}

passed_on!(close, xClose;);
passed_on!(read, xRead, Step::Read; buffer: *mut c_void, bytes: c_int, offset: i64);
passed_on!(write, xWrite, Step::Write; buffer: *const c_void, bytes: c_int, offset: i64);
passed_on!(truncate, xTruncate, Step::Truncate; size: i64);
passed_on!(sync, xSync, Step::Sync; flags: c_int);
passed_on!(file_size, xFileSize; size: *mut i64);
passed_on!(lock, xLock; level: c_int);
passed_on!(unlock, xUnlock; level: c_int);
passed_on!(check_reserved_lock, xCheckReservedLock; is: *mut c_int);
passed_on!(file_control, xFileControl; operation: c_int, argument: *mut c_void);
passed_on!(sector_size, xSectorSize;);
passed_on!(device_characteristics, xDeviceCharacteristics;);
passed_on!(shm_map, xShmMap, Step::ShmMap; page: c_int, size: c_int, extend: c_int, at: *mut *mut c_void);
passed_on!(shm_lock_passed_on, xShmLock; offset: c_int, count: c_int, flags: c_int);
passed_on!(shm_unmap, xShmUnmap; delete: c_int);
passed_on!(fetch, xFetch; offset: i64, bytes: c_int, at: *mut *mut c_void);
passed_on!(unfetch, xUnfetch; offset: i64, at: *mut c_void);

#[expect(unsafe_code, reason = "called by SQLite")]
unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: `open` has initialized the file. Only taking a lock may fail: SQLite assumes that a release succeeds.
    unsafe {
        let takes = flags & ffi::SQLITE_SHM_LOCK != 0;
        let failure = if takes { faults(file).strikes(Step::ShmLock) } else { None };
        failure.unwrap_or_else(|| shm_lock_passed_on(file, offset, count, flags))
    }
}

#[expect(unsafe_code, reason = "called by SQLite")]
unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: `open` has initialized the file and opened the default one.
    unsafe {
        let real = usual(file);
        if let Some(barrier) = (*(*real).pMethods).xShmBarrier {
            barrier(real);
        }
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: Some(fetch),
    xUnfetch: Some(unfetch),
};
