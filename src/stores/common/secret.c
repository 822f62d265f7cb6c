/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool path_of(const char *file, char ret_path[PATH_MAX])
{
    const char *directory = secure_getenv("CREDENTIALS_DIRECTORY");
    bool is_credential = !strchr(file, '/');
    if (is_credential && (!directory || !*directory)) return false;
    int len = is_credential ? snprintf(ret_path, PATH_MAX, "%s/%s", directory, file)
                            : snprintf(ret_path, PATH_MAX, "%s", file);
    return len < PATH_MAX;
}

/* NULL, or what is wrong with it. A pipe could be read once, and might never end. */
static const char *open_file(const char *path, int *ret_fd, bool *ret_exposed)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return strerror(errno);
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        *ret_exposed = status.st_mode & S_IROTH;
        *ret_fd = fd;
        return NULL;
    }
    close(fd);
    return "it is no ordinary file";
}

/* One byte more than may be there, so that too much of it is seen. */
static ssize_t read_whole(int fd, char buffer[PAWL__SECRET_MAX + 3])
{
    ssize_t len = 0, n = 0;
    do {
        n = read(fd, buffer + len, (size_t)(PAWL__SECRET_MAX + 3 - len));
        if (n > 0) len += n;
    } while (n > 0 || (n < 0 && errno == EINTR));
    return n < 0 ? -1 : len;
}

/* NULL, or what is wrong with it. */
static const char *take_line(char *buffer, ssize_t len, char **ret_password)
{
    if (len < 0) return strerror(errno);
    if (len > 0 && buffer[len - 1] == '\n') len--;
    if (len > 0 && buffer[len - 1] == '\r') len--;
    if (len == 0) return "it is empty";
    if (len > PAWL__SECRET_MAX) return "it is longer than a password";
    if (memchr(buffer, '\0', (size_t)len) || memchr(buffer, '\n', (size_t)len))
        return "it is not one line of text";
    *ret_password = strndup(buffer, (size_t)len);
    return *ret_password ? NULL : "out of memory";
}

char *pawl__secret_read(const char *file, bool *ret_exposed, char *reterr_message, size_t room)
{
    char path[PATH_MAX], buffer[PAWL__SECRET_MAX + 3], *password = NULL;
    int fd = -1;
    const char *trouble = "there is no $CREDENTIALS_DIRECTORY; a file's path begins with /";
    if (path_of(file, path)) trouble = open_file(path, &fd, ret_exposed);
    if (!trouble) {
        trouble = take_line(buffer, read_whole(fd, buffer), &password);
        close(fd);
        explicit_bzero(buffer, sizeof buffer);
    }
    const char *shown = strchr(file, '/') ? file : "***"; /* it may be the password itself */
    if (trouble) snprintf(reterr_message, room, "password_file=%.150s: %s", shown, trouble);
    return password;
}

void pawl__secret_free(char *password)
{
    if (password) explicit_bzero(password, strlen(password));
    free(password);
}
