/* icacls.exe: the part of Windows' own that a backup needs; Wine's does nothing.
 *
 *   icacls NAME                                 shows the access control list, as SDDL
 *   icacls NAME [/inheritance:r] [/grant[:r] SID:PERMISSION]... [/t] [/c] [/q]
 *   icacls NAME /reset [/t] [/c] [/q]           whatever was granted by name is gone; everybody may read
 *   icacls NAME /save FILE [/t] [/c] [/q]       FILE has, in UTF-16, names relative to NAME's directory and SDDL
 *   icacls DIRECTORY /restore FILE [/c] [/q]
 *
 * SID is a name or *S-1-..., PERMISSION as (OI)(CI)F; whatever is granted is granted in full. Wine keeps Unix modes and
 * no lists: what is granted to SYSTEM and Administrators becomes u=rwx,g=rwx,o=, and nothing is inherited. Every call is noted in C:\pe-lab\icacls.log.
 */
#include <stdio.h>
#include <wchar.h>
#include <windows.h>

#include <aclapi.h>
#include <sddl.h>

#define LONGEST 1024
#define KEPT (OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION)

typedef DWORD action(const wchar_t *path);

static EXPLICIT_ACCESSW grants[8];
static int granted;
static BOOL replaces, protects, resets, recursive, persistent;
static FILE *saved;
static size_t parent;
static unsigned done, failed;

static void note_call(void)
{
    FILE *log = _wfopen(L"C:\\pe-lab\\icacls.log", L"ab");

    if (log) {
        fprintf(log, "%ls\r\n", GetCommandLineW());
        fclose(log);
    }
}

static BOOL add_grant(wchar_t *word)
{
    wchar_t *colon = wcschr(word, ':');
    EXPLICIT_ACCESSW *grant = &grants[granted];
    PSID sid;

    if (!colon || granted == 8)
        return FALSE;
    *colon = 0;
    grant->grfAccessPermissions = FILE_ALL_ACCESS;
    grant->grfAccessMode = SET_ACCESS;
    grant->grfInheritance = wcsstr(colon + 1, L"(OI)") ? SUB_CONTAINERS_AND_OBJECTS_INHERIT : NO_INHERITANCE;
    if (*word == '*') {
        if (!ConvertStringSidToSidW(word + 1, &sid))
            return FALSE;
        grant->Trustee.TrusteeForm = TRUSTEE_IS_SID;
        grant->Trustee.ptstrName = sid;
    } else {
        grant->Trustee.TrusteeForm = TRUSTEE_IS_NAME;
        grant->Trustee.ptstrName = word;
    }
    granted++;
    return TRUE;
}

static DWORD grant_access(const wchar_t *path)
{
    SECURITY_DESCRIPTOR changed;
    PSECURITY_DESCRIPTOR security;
    ACL *old = NULL, *new;
    DWORD error = ERROR_SUCCESS;

    if (!replaces && !protects)
        error = GetNamedSecurityInfoW(path, SE_FILE_OBJECT, DACL_SECURITY_INFORMATION, NULL, NULL, &old, NULL, &security);
    if (!error)
        error = SetEntriesInAclW(granted, grants, old, &new);
    if (error)
        return error;
    if (!InitializeSecurityDescriptor(&changed, SECURITY_DESCRIPTOR_REVISION)
        || !SetSecurityDescriptorDacl(&changed, TRUE, new, FALSE)
        || !SetFileSecurityW(path, DACL_SECURITY_INFORMATION, &changed))
        return GetLastError();
    return ERROR_SUCCESS;
}

static DWORD read_sddl(const wchar_t *path, SECURITY_INFORMATION what, wchar_t **sddl)
{
    PSECURITY_DESCRIPTOR security;
    DWORD error = GetNamedSecurityInfoW(path, SE_FILE_OBJECT, what, NULL, NULL, NULL, NULL, &security);

    if (!error && !ConvertSecurityDescriptorToStringSecurityDescriptorW(security, SDDL_REVISION_1, what, sddl, NULL))
        error = GetLastError();
    return error;
}

static DWORD save_access(const wchar_t *path)
{
    wchar_t *sddl;
    DWORD error = read_sddl(path, DACL_SECURITY_INFORMATION, &sddl);

    if (!error) {
        fwrite(path + parent, sizeof *path, wcslen(path + parent), saved);
        fwrite(L"\r\n", sizeof *path, 2, saved);
        fwrite(sddl, sizeof *sddl, wcslen(sddl), saved);
        fwrite(L"\r\n", sizeof *path, 2, saved);
    }
    return error;
}

static DWORD show_access(const wchar_t *path)
{
    wchar_t *sddl;
    DWORD error = read_sddl(path, KEPT, &sddl);

    if (!error)
        printf("%ls %ls\r\n", path, sddl);
    return error;
}

static DWORD set_sddl(const wchar_t *path, const wchar_t *sddl)
{
    PSECURITY_DESCRIPTOR security;

    if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(sddl, SDDL_REVISION_1, &security, NULL)
        || !SetFileSecurityW(path, DACL_SECURITY_INFORMATION, security))
        return GetLastError();
    return ERROR_SUCCESS;
}

/* As a directory in ProgramData has it from above, which Wine does not hand on. */
static DWORD reset_access(const wchar_t *path)
{
    return set_sddl(path, L"D:(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;WD)");
}

static void count(const wchar_t *path, DWORD error)
{
    if (error) {
        fprintf(stderr, "%ls: error %lu\r\n", path, error);
        failed++;
    } else
        done++;
}

/* With the path itself and, if wanted, all below it. */
static void walk(const wchar_t *path, action *act)
{
    wchar_t below[LONGEST];
    WIN32_FIND_DATAW found;
    HANDLE search;

    count(path, act(path));
    if (!recursive || (failed && !persistent) || !(GetFileAttributesW(path) & FILE_ATTRIBUTE_DIRECTORY))
        return;
    swprintf(below, LONGEST, L"%ls\\*", path);
    search = FindFirstFileW(below, &found);
    if (search == INVALID_HANDLE_VALUE)
        return;
    do {
        if (!wcscmp(found.cFileName, L".") || !wcscmp(found.cFileName, L".."))
            continue;
        swprintf(below, LONGEST, L"%ls\\%ls", path, found.cFileName);
        walk(below, act);
    } while (FindNextFileW(search, &found));
    FindClose(search);
}

static wchar_t *read_line(FILE *from, wchar_t *line, size_t size)
{
    size_t length = 0;

    while (length < size - 1 && fread(&line[length], sizeof *line, 1, from) == 1)
        if (line[length] == '\n')
            break;
        else if (line[length] != '\r' && line[length] != 0xfeff)
            length++;
    line[length] = 0;
    return length ? line : NULL;
}

static void restore(const wchar_t *directory, FILE *from)
{
    static wchar_t name[LONGEST], sddl[32768], path[2 * LONGEST];

    while (read_line(from, name, LONGEST) && read_line(from, sddl, 32768)) {
        swprintf(path, 2 * LONGEST, L"%ls\\%ls", directory, name);
        count(path, set_sddl(path, sddl));
    }
}

int wmain(int words, wchar_t **word)
{
    wchar_t path[LONGEST];
    const wchar_t *save = NULL, *restored = NULL, *name;
    BOOL quiet = FALSE, granting = FALSE;
    int i;

    note_call();
    if (words < 2 || !GetFullPathNameW(word[1], LONGEST, path, (wchar_t **)&name)) {
        printf("usage: icacls NAME [...]\r\n");
        return ERROR_INVALID_PARAMETER;
    }
    for (i = 2; i < words; i++) {
        BOOL was_granting = granting;

        granting = FALSE;
        if (!_wcsicmp(word[i], L"/t")) recursive = TRUE;
        else if (!_wcsicmp(word[i], L"/c")) persistent = TRUE;
        else if (!_wcsicmp(word[i], L"/q")) quiet = TRUE;
        else if (!_wcsicmp(word[i], L"/inheritance:r")) protects = TRUE;
        else if (!_wcsicmp(word[i], L"/reset")) resets = TRUE;
        else if (!_wcsicmp(word[i], L"/grant") || !_wcsicmp(word[i], L"/grant:r")) {
            replaces |= word[i][6] != 0;
            granting = TRUE;
        } else if (!_wcsicmp(word[i], L"/save") && i + 1 < words) save = word[++i];
        else if (!_wcsicmp(word[i], L"/restore") && i + 1 < words) restored = word[++i];
        else if (was_granting && add_grant(word[i])) granting = TRUE;
        else {
            printf("Invalid parameter \"%ls\"\r\n", word[i]);
            return ERROR_INVALID_PARAMETER;
        }
    }
    if (resets && (granted || protects || save || restored)) {
        printf("Invalid parameter \"/reset\"\r\n");
        return ERROR_INVALID_PARAMETER;
    }
    if (save || restored) {
        saved = _wfopen(save ? save : restored, save ? L"wb" : L"rb");
        if (!saved) {
            printf("%ls: The system cannot find the file specified.\r\n", save ? save : restored);
            return ERROR_FILE_NOT_FOUND;
        }
    }
    if (restored)
        restore(path, saved);
    else {
        parent = name ? (size_t)(name - path) : 0;
        walk(path, save ? save_access : resets ? reset_access : granted || protects ? grant_access : show_access);
    }
    if (saved)
        fclose(saved);
    if (!quiet)
        printf("Successfully processed %u files; Failed processing %u files\r\n", done, failed);
    return failed ? ERROR_ACCESS_DENIED : 0;
}
