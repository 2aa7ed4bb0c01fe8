/* session.exe: what Windows' OpenSSH and WinRM do with a command string: cmd.exe /c "STRING", with the caller's
 * streams and exit status. The string comes in the environment, because Wine rebuilds a command line that comes
 * from Linux in a way that cmd.exe does not understand.
 *
 * PE_LAB_COMMAND is the string; without it there is a cmd.exe that reads its commands from the standard input.
 * PE_LAB_ACCOUNT, if it is not Administrator, is an account without Administrator rights: the process gets a token
 * without that group, which Wine's server really checks.
 */
#include <stdio.h>
#include <windows.h>

#define LONGEST 32767

static wchar_t account[64] = L"Administrator";
static wchar_t command[LONGEST];
static wchar_t line[LONGEST + 64];

static void belong_to_account(void)
{
    wchar_t profile[96];

    /* Wine has the directories of later versions in its environment whatever version it is told to be. */
    if (GetVersion() % 256 < 6) {
        SetEnvironmentVariableW(L"ALLUSERSPROFILE", L"C:\\Documents and Settings\\All Users");
        SetEnvironmentVariableW(L"ProgramData", NULL);
        SetEnvironmentVariableW(L"PUBLIC", NULL);
        swprintf(profile, 96, L"C:\\Documents and Settings\\%ls", account);
    } else
        swprintf(profile, 96, L"C:\\users\\%ls", account);
    SetEnvironmentVariableW(L"USERNAME", account);
    SetEnvironmentVariableW(L"USERPROFILE", profile);
    SetEnvironmentVariableW(L"HOMEPATH", profile + 2);
    SetCurrentDirectoryW(profile);
}

static HANDLE token_of_account(void)
{
    unsigned char sid[SECURITY_MAX_SID_SIZE];
    DWORD size = sizeof sid;
    SID_AND_ATTRIBUTES administrators = {sid, 0};
    HANDLE own, token;

    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_ALL_ACCESS, &own))
        return NULL;
    if (!lstrcmpW(account, L"Administrator"))
        return own;
    if (!CreateWellKnownSid(WinBuiltinAdministratorsSid, NULL, sid, &size)
        || !CreateRestrictedToken(own, DISABLE_MAX_PRIVILEGE, 1, &administrators, 0, NULL, 0, NULL, &token))
        return NULL;
    return token;
}

int main(void)
{
    STARTUPINFOW startup = {sizeof startup};
    PROCESS_INFORMATION process;
    DWORD status;
    HANDLE token;

    GetEnvironmentVariableW(L"PE_LAB_ACCOUNT", account, 64);
    swprintf(line, LONGEST, L"cmd.exe");
    if (GetEnvironmentVariableW(L"PE_LAB_COMMAND", command, LONGEST))
        swprintf(line, LONGEST, L"cmd.exe /c \"%ls\"", command);
    SetEnvironmentVariableW(L"PE_LAB_COMMAND", NULL);
    belong_to_account();
    startup.dwFlags = STARTF_USESTDHANDLES;
    startup.hStdInput = GetStdHandle(STD_INPUT_HANDLE);
    startup.hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE);
    startup.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    token = token_of_account();
    if (!token
        || !CreateProcessAsUserW(token, L"C:\\windows\\system32\\cmd.exe", line, NULL, NULL, TRUE, 0, NULL, NULL,
                                 &startup, &process)) {
        fprintf(stderr, "session.exe: no cmd.exe for %ls: error %lu\n", account, GetLastError());
        return 255;
    }
    WaitForSingleObject(process.hProcess, INFINITE);
    GetExitCodeProcess(process.hProcess, &status);
    /* Linux passes on eight bits: what does not fit must not become a success. */
    return status > 255 ? 255 : (int)status;
}
