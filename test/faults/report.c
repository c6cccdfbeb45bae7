/*
 * report.c: what is printed of a bad end, and the list of those that are OpenSSL's own.
 */
#include "faults.h"

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void __real_free(void *p); /* of what libc has allocated */

const char *const faults_kinds[] = {"lua", "openssl", "own", "socket", "file"};
const char *const faults_ways[] = {"", "EINTR", "EAGAIN", "short", "end", "ECONNRESET", "EPIPE", "errno-0"};

void faults_frames(const char *title, void *const *stack, int n)
{
  char **names = backtrace_symbols(stack, n);
  printf("      %s:\n", title);
  for (int i = 1; i < n && names != NULL && strstr(names[i], "liblua") == NULL; i++) {
    printf("        %s\n", names[i]);
  }
  __real_free(names);
}

/* Whether a text is in what went wrong, in what failed, or in a name on a stack. */
static bool matches(const char *text, void *const *stack, int n)
{
  const struct faults_result *r = faults_result;
  if (strstr(r->text, text) != NULL || strstr(r->site, text) != NULL) {
    return true;
  }
  char **names = backtrace_symbols(stack, n);
  bool found_it = false;
  for (int i = 0; i < n && names != NULL; i++) {
    found_it = found_it || strstr(names[i], text) != NULL;
  }
  __real_free(names);
  return found_it;
}

/* Whether a bad end is one of OpenSSL's own, which the file of them has: an outcome, a tab, what failed, a tab, where it
   ended. */
bool faults_known(const char *outcome, const char *file)
{
  const struct faults_result *r = faults_result;
  char line[512];
  FILE *f = file != NULL ? fopen(file, "r") : NULL;
  bool is = false;
  while (f != NULL && !is && fgets(line, sizeof line, f) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    char *save = NULL, *kind = strtok_r(line, "\t", &save);
    char *where = strtok_r(NULL, "\t", &save), *what = strtok_r(NULL, "\t", &save);
    is = kind != NULL && kind[0] != '#' && where != NULL && what != NULL && strcmp(kind, outcome) == 0 &&
         matches(where, r->fault, r->nfault) && matches(what, r->crash, r->ncrash);
  }
  if (f != NULL) {
    fclose(f);
  }
  return is;
}

/* Prints a bad end, the first of its kind only. */
void faults_show(const char *name, const char *outcome)
{
  static char seen[400][256];
  static int nseen;
  const struct faults_result *r = faults_result;
  char key[256];
  snprintf(key, sizeof key, "%s|%.100s|%.130s", outcome, r->site, r->text);
  for (int i = 0; i < nseen; i++) {
    if (strcmp(seen[i], key) == 0) {
      return;
    }
  }
  if (nseen < 400) {
    strcpy(seen[nseen++], key);
  }
  printf("FAILED %s %s%s%s%s %ld: %s: %s\n", name, faults_kinds[faults_plan.kind], faults_plan.way ? " " : "",
         faults_ways[faults_plan.way], faults_plan.sticky ? " sticky" : "", faults_plan.at, outcome, r->text);
  faults_frames(r->site, r->fault, r->nfault);
  if (r->ncrash > 0) {
    faults_frames("ended in", r->crash, r->ncrash);
  }
}
