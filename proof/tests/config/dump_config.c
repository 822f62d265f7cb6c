/* SPDX-License-Identifier: MIT */
/*
 * For the test that compares with Beego itself (bindings/go/beego): reads names
 * of files from stdin, one per line, and says for each what pawl has read:
 *
 *   error MESSAGE
 *   entry SECTION KEY VALUE     all in hex, in the order of the file
 *   get KEY VALUE               what pawl_config_get says; for each argument of this program
 *   end
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "beego/config/ini.h"
#include "pawl/config.h"

static void put_hex(const char *text)
{
    putchar(' ');
    if (!*text) putchar('-');
    for (; *text; text++) printf("%02x", (unsigned char)*text);
}

static void dump_entries(const pawl__ini *ini)
{
    for (size_t i = 0; i < pawl__ini_count(ini); i++) {
        const pawl__ini_entry *entry = pawl__ini_at(ini, i);
        fputs("entry", stdout);
        put_hex(entry->section);
        put_hex(entry->key);
        put_hex(entry->value);
        putchar('\n');
    }
}

static void dump(const char *path, char **keys)
{
    pawl__ini *ini = NULL;
    pawl_config *config = NULL;
    char message[PAWL_MESSAGE_MAX] = "";
    if (pawl__ini_load(path, &ini, message) || pawl_config_load(path, &config, message)) {
        printf("error %s\n", message);
    } else {
        dump_entries(ini);
        for (; *keys; keys++) {
            const char *value = pawl_config_get(config, *keys);
            fputs("get", stdout);
            put_hex(*keys);
            put_hex(value ? value : "");
            putchar('\n');
        }
    }
    puts("end");
    fflush(stdout);
    pawl__ini_free(ini);
    pawl_config_free(config);
}

int main(int argc, char **argv)
{
    char path[4096];
    (void)argc;
    while (fgets(path, sizeof path, stdin)) {
        path[strcspn(path, "\n")] = '\0';
        dump(path, argv + 1);
    }
    return 0;
}
