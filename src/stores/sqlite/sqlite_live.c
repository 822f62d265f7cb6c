/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sqlite_live.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_LEN       48 /* "pawl-live ", 16 hex digits, 20 digits, newline */
#define HEADER_MAGIC     "pawl-live "
#define HEADER_FORMAT    HEADER_MAGIC "%016" PRIx64 " %020" PRIu64 "\n"
#define BYTE_FIRST       4096 /* clear of the header */
#define BYTE_TRIES_MAX   8    /* of 2^62 bytes: a second try is nearly never needed */
#define OPEN_TRIES_MAX   8
#define POSITIVE_62_BITS (INT64_MAX >> 1)

/* ---- fork ---------------------------------------------------------------------- */

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static pawl__link registry = {&registry, &registry};
static pthread_once_t registry_once = PTHREAD_ONCE_INIT;

static void fork_prepare(void)
{
    pthread_mutex_lock(&registry_mutex);
}

static void fork_parent(void)
{
    pthread_mutex_unlock(&registry_mutex);
}

/* Law 9: the child holds nothing, so it must not look as if its parent still lived. */
static void fork_child(void)
{
    for (pawl__link *at = registry.next; at != &registry; at = at->next) {
        pawl__sqlite_live *live = pawl__container(at, pawl__sqlite_live, in_registry);
        if (live->fd >= 0) close(live->fd);
        if (live->old_fd >= 0) close(live->old_fd);
        live->fd = live->old_fd = -1;
    }
    pawl__list_init(&registry);
    pthread_mutex_unlock(&registry_mutex);
}

static void registry_start(void)
{
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}

void pawl__sqlite_live_start(void)
{
    pthread_once(&registry_once, registry_start);
}

/*
 * With registry_mutex held: no fork may come between a descriptor and its registration.
 * The first file is kept until the database names another one: rows may still stand on it.
 */
static void publish(pawl__sqlite_live *live, int fd)
{
    if (live->old_fd < 0) {
        live->old_fd = live->fd;
        live->fd = -1;
    }
    if (live->fd >= 0) close(live->fd);
    live->fd = fd;
    if (!pawl__link_linked(&live->in_registry)) pawl__list_append(&registry, &live->in_registry);
}

static void close_old(pawl__sqlite_live *live)
{
    if (live->old_fd >= 0) close(live->old_fd);
    live->old_fd = -1;
}

/* ---- The file ------------------------------------------------------------------ */

static int64_t random_id(void)
{
    int64_t id = 0;
    while ((id & POSITIVE_62_BITS) < BYTE_FIRST) {
        if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id)) return -1;
    }
    return id & POSITIVE_62_BITS;
}

/* len 0: all bytes from there on. */
static int lock_range(int fd, int command, int64_t offset, int64_t len, short *ret_type)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)offset, .l_len = (off_t)len};
    int rc = fcntl(fd, command, &lock);
    if (ret_type) *ret_type = lock.l_type;
    return rc;
}

static int lock_byte(int fd, int command, int64_t offset, short *ret_type)
{
    return lock_range(fd, command, offset, 1, ret_type);
}

/* 0 if there is none, or if the file is a copy of the one that it was written into. */
static int64_t read_file_id(int fd, ino_t inode)
{
    char header[HEADER_LEN + 1] = "";
    uint64_t id = 0, written_into = 0;
    if (pread(fd, header, HEADER_LEN, 0) != HEADER_LEN) return 0;
    if (sscanf(header, "pawl-live %16" SCNx64 " %20" SCNu64, &id, &written_into) != 2) return 0;
    return written_into == inode ? (int64_t)(id & (uint64_t)POSITIVE_62_BITS) : 0;
}

static int write_file_id(int fd, int64_t id, ino_t inode)
{
    char header[HEADER_LEN + 1];
    snprintf(header, sizeof(header), HEADER_FORMAT, (uint64_t)id, (uint64_t)inode);
    ssize_t n = pwrite(fd, header, HEADER_LEN, 0);
    if (n == HEADER_LEN) return 0;
    if (n >= 0) errno = ENOSPC;
    return -1;
}

static int64_t lock_own_byte(int fd)
{
    for (int i = 0; i < BYTE_TRIES_MAX; i++) {
        int64_t offset = random_id();
        if (offset < 0) return -1;
        if (lock_byte(fd, F_OFD_SETLK, offset, NULL) == 0) return offset;
        if (errno != EAGAIN && errno != EACCES) return -1;
    }
    return -1;
}

/* A file that we make gets the mode of the database and, if we are root, its owner. */
static int make_file(const char *path, const struct stat *db_stat)
{
    const mode_t mode = db_stat->st_mode & 0666;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_CREAT | O_EXCL, mode);
    if (fd < 0) return -1;
    (void)!fchmod(fd, mode);
    if (geteuid() == 0) (void)!fchown(fd, db_stat->st_uid, db_stat->st_gid);
    return fd;
}

static int open_file(const char *path, const struct stat *db_stat)
{
    for (int tries = 0; tries < OPEN_TRIES_MAX; tries++) {
        int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0 && errno == ENOENT) fd = make_file(path, db_stat);
        if (fd >= 0 || errno != EEXIST) return fd; /* EEXIST: somebody made it in between */
    }
    return -1;
}

/*
 * Where others may write, the name may lead to anything that they may link to. Only a file of
 * ours, or an empty one, is written into.
 */
static bool is_ours_to_write(int fd, const struct stat *st)
{
    char magic[sizeof(HEADER_MAGIC) - 1];
    if (!S_ISREG(st->st_mode) || st->st_nlink != 1) return false;
    if (st->st_size == 0) return true;
    return pread(fd, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) &&
           memcmp(magic, HEADER_MAGIC, sizeof(magic)) == 0;
}

/* ---- The interface ------------------------------------------------------------- */

void pawl__sqlite_live_init(pawl__sqlite_live *live)
{
    *live =
        (pawl__sqlite_live){.fd = -1, .old_fd = -1, .offset = PAWL__LIVE_UNKNOWN, .file_id = -1};
    pthread_mutex_init(&live->mutex, NULL);
    pawl__list_init(&live->in_registry);
    pawl__sqlite_live_start();
}

int pawl__sqlite_live_open(pawl__sqlite_live *live, const char *path, const struct stat *db_stat,
                           int64_t file_id, int64_t *ret_file_id)
{
    struct stat st;
    int64_t found, offset;

    pthread_mutex_lock(&live->mutex);
    pthread_mutex_lock(&registry_mutex);
    int fd = open_file(path, db_stat);
    if (fd < 0 || fstat(fd, &st) < 0) goto fail;
    if (!is_ours_to_write(fd, &st)) {
        errno = EINVAL;
        goto fail;
    }
    found = read_file_id(fd, st.st_ino);
    if (found == 0 || found != file_id) {
        found = random_id();
        if (found < 0 || write_file_id(fd, found, st.st_ino) < 0) goto fail;
    }
    offset = lock_own_byte(fd);
    if (offset < 0) goto fail;

    publish(live, fd);
    live->offset = offset;
    live->file_id = found;
    pthread_mutex_unlock(&registry_mutex);
    pthread_mutex_unlock(&live->mutex);
    *ret_file_id = found;
    return 0;

fail:;
    int saved = errno;
    if (fd >= 0) close(fd);
    pthread_mutex_unlock(&registry_mutex);
    pthread_mutex_unlock(&live->mutex);
    errno = saved;
    return -1;
}

static void replace_looked_at(pawl__sqlite_live *live, const char *path, int64_t file_id)
{
    struct stat st;
    if (live->fd >= 0) close(live->fd);
    live->fd = -1;
    live->file_id = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || read_file_id(fd, st.st_ino) != file_id) {
        close(fd);
        return;
    }
    live->fd = fd;
    live->file_id = file_id;
    if (!pawl__link_linked(&live->in_registry)) pawl__list_append(&registry, &live->in_registry);
}

void pawl__sqlite_live_open_to_look(pawl__sqlite_live *live, const char *path, int64_t file_id)
{
    if (live->offset > 0 || file_id <= 0) return;
    if (live->fd >= 0 && live->file_id == file_id) return;
    pthread_mutex_lock(&live->mutex);
    pthread_mutex_lock(&registry_mutex);
    replace_looked_at(live, path, file_id);
    pthread_mutex_unlock(&registry_mutex);
    pthread_mutex_unlock(&live->mutex);
}

void pawl__sqlite_live_lose(pawl__sqlite_live *live)
{
    pthread_mutex_lock(&live->mutex);
    pthread_mutex_lock(&registry_mutex);
    publish(live, -1);
    live->offset = PAWL__LIVE_UNKNOWN;
    live->file_id = -1;
    pthread_mutex_unlock(&registry_mutex);
    pthread_mutex_unlock(&live->mutex);
}

void pawl__sqlite_live_drop_previous(pawl__sqlite_live *live)
{
    if (live->old_fd < 0) return; /* only the worker changes it */
    pthread_mutex_lock(&registry_mutex);
    close_old(live);
    pthread_mutex_unlock(&registry_mutex);
}

void pawl__sqlite_live_close(pawl__sqlite_live *live)
{
    pthread_mutex_lock(&live->mutex);
    pthread_mutex_lock(&registry_mutex);
    pawl__list_remove(&live->in_registry);
    close_old(live);
    if (live->fd >= 0) close(live->fd);
    live->fd = -1;
    pthread_mutex_unlock(&registry_mutex);
    live->offset = PAWL__LIVE_UNKNOWN;
    live->file_id = -1;
    pthread_mutex_unlock(&live->mutex);
}

bool pawl__sqlite_live_is_dead(pawl__sqlite_live *live, int64_t offset)
{
    bool dead = false;
    short type = F_WRLCK;
    if (offset <= 0) return false;
    pthread_mutex_lock(&live->mutex);
    /* The kernel does not report our own lock to us, so we do not ask about our own byte. */
    if (live->fd >= 0 && offset != live->offset) {
        dead = lock_byte(live->fd, F_OFD_GETLK, offset, &type) == 0 && type == F_UNLCK;
    }
    pthread_mutex_unlock(&live->mutex);
    return dead;
}

static void look_at(int fd, pawl__live_look *ret_look)
{
    struct stat st;
    short type;
    ret_look->unknown = fstat(fd, &st) < 0;
    if (ret_look->unknown || !S_ISREG(st.st_mode)) return;
    ret_look->file_id = read_file_id(fd, st.st_ino);
    ret_look->unknown = lock_range(fd, F_OFD_GETLK, 1, 0, &type) < 0;
    ret_look->anybody = !ret_look->unknown && type != F_UNLCK;
    pawl__term_read(fd, &ret_look->term);
}

void pawl__sqlite_live_look(const char *path, pawl__live_look *ret_look)
{
    memset(ret_look, 0, sizeof(*ret_look));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        ret_look->unknown = errno != ENOENT;
        return;
    }
    look_at(fd, ret_look);
    close(fd);
}
