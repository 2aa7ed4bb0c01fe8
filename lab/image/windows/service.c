/* service.exe NAME [PUPPET_BAT | --daemon]: the services that PE for Windows installs.
 *
 * With a puppet.bat it does what the vendor's service of Puppet does: it starts a run of the agent at once and then every
 * half hour, as a process of its own that stopping the service does not end.
 *
 * With --daemon it is what /opt/pe-lab/daemon runs in the container. A Linux program that Wine starts can be neither waited
 * for nor ended: in /run/pe-lab, NAME-PID.wanted says that it is to run and NAME-PID.runs that it does.
 *
 * A file C:\pe-lab\NAME.hangs-stopping or C:\pe-lab\NAME.hangs-starting makes the service stay in STOP_PENDING or
 * START_PENDING for ever.
 */
#include <stdio.h>
#include <string.h>
#include <windows.h>

#define RUN_INTERVAL (30 * 60 * 1000)
#define GLANCE_INTERVAL 200

static char name[32];
static const char *puppet;
static BOOL keeps_daemon;
static SERVICE_STATUS_HANDLE handle;
static HANDLE stopped;

static BOOL hangs(const char *when)
{
    char path[96];

    snprintf(path, sizeof path, "C:\\pe-lab\\%s.hangs-%s", name, when);
    return GetFileAttributesA(path) != INVALID_FILE_ATTRIBUTES;
}

static void tell(DWORD state, DWORD error)
{
    SERVICE_STATUS status = {SERVICE_WIN32_OWN_PROCESS, state, 0, error};

    if (state == SERVICE_RUNNING)
        status.dwControlsAccepted = SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_SHUTDOWN;
    if (state == SERVICE_START_PENDING || state == SERVICE_STOP_PENDING)
        status.dwWaitHint = 3000;
    SetServiceStatus(handle, &status);
}

static void WINAPI control(DWORD code)
{
    if (code != SERVICE_CONTROL_STOP && code != SERVICE_CONTROL_SHUTDOWN)
        return;
    tell(SERVICE_STOP_PENDING, NO_ERROR);
    SetEvent(stopped);
}

static wchar_t *daemon_file(const char *which)
{
    static wchar_t path[96];

    swprintf(path, 96, L"\\\\?\\unix\\run\\pe-lab\\%hs-%lu.%hs", name, GetCurrentProcessId(), which);
    return path;
}

static BOOL daemon_file_exists(const char *which)
{
    return GetFileAttributesW(daemon_file(which)) != INVALID_FILE_ATTRIBUTES;
}

static BOOL start_daemon(void)
{
    STARTUPINFOW startup = {sizeof startup};
    PROCESS_INFORMATION process;
    wchar_t line[64];

    CloseHandle(CreateFileW(daemon_file("wanted"), GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL));
    swprintf(line, 64, L"daemon %hs %lu", name, GetCurrentProcessId());
    if (!CreateProcessW(L"\\\\?\\unix\\opt\\pe-lab\\daemon", line, NULL, NULL, FALSE, 0, NULL, NULL, &startup,
                        &process))
        return FALSE;
    while (daemon_file_exists("wanted")) {
        if (daemon_file_exists("runs"))
            return TRUE;
        Sleep(GLANCE_INTERVAL);
    }
    return FALSE;
}

/* Until the service is to stop; FALSE if there is no daemon any more before that. */
static BOOL run_daemon(void)
{
    if (!start_daemon())
        return FALSE;
    tell(SERVICE_RUNNING, NO_ERROR);
    while (WaitForSingleObject(stopped, GLANCE_INTERVAL) == WAIT_TIMEOUT)
        if (!daemon_file_exists("runs"))
            return FALSE;
    DeleteFileW(daemon_file("wanted"));
    while (daemon_file_exists("runs"))
        Sleep(GLANCE_INTERVAL);
    return TRUE;
}

static void run_agent(void)
{
    char line[MAX_PATH + 64];
    STARTUPINFOA startup = {sizeof startup};
    PROCESS_INFORMATION process;

    snprintf(line, sizeof line, "cmd.exe /c \"\"%s\" agent --onetime --no-daemonize\"", puppet);
    if (CreateProcessA(NULL, line, NULL, NULL, FALSE, DETACHED_PROCESS, NULL, NULL, &startup, &process)) {
        CloseHandle(process.hThread);
        CloseHandle(process.hProcess);
    }
}

static void run_agents(void)
{
    tell(SERVICE_RUNNING, NO_ERROR);
    do {
        if (puppet)
            run_agent();
    } while (WaitForSingleObject(stopped, puppet ? RUN_INTERVAL : INFINITE) == WAIT_TIMEOUT);
}

static void WINAPI serve(DWORD count, char **words)
{
    DWORD error = NO_ERROR;

    (void)count, (void)words;
    stopped = CreateEventA(NULL, TRUE, FALSE, NULL);
    handle = RegisterServiceCtrlHandlerA(name, control);
    tell(SERVICE_START_PENDING, NO_ERROR);
    if (hangs("starting"))
        Sleep(INFINITE);
    if (!keeps_daemon)
        run_agents();
    else if (!run_daemon())
        error = ERROR_PROCESS_ABORTED;
    if (!error && hangs("stopping"))
        Sleep(INFINITE);
    tell(SERVICE_STOPPED, error);
}

int main(int count, char **words)
{
    SERVICE_TABLE_ENTRYA table[] = {{name, serve}, {NULL, NULL}};

    if (count < 2 || count > 3 || strlen(words[1]) >= sizeof name) {
        fputs("usage: service.exe NAME [PUPPET_BAT | --daemon]\n", stderr);
        return 2;
    }
    strcpy(name, words[1]);
    keeps_daemon = count > 2 && !strcmp(words[2], "--daemon");
    puppet = keeps_daemon ? NULL : words[2];
    return !StartServiceCtrlDispatcherA(table);
}
