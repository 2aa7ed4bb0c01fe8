/* service.exe NAME [PUPPET_BAT]: the services that PE for Windows installs, as far as stopping and starting them goes.
 *
 * With a puppet.bat it does what the vendor's service of Puppet does: it starts a run of the agent at once and then every
 * half hour, as a process of its own that stopping the service does not end.
 *
 * A file C:\pe-lab\NAME.hangs-stopping or C:\pe-lab\NAME.hangs-starting makes the service stay in STOP_PENDING or
 * START_PENDING for ever.
 */
#include <stdio.h>
#include <string.h>
#include <windows.h>

#define RUN_INTERVAL (30 * 60 * 1000)

static char name[32];
static const char *puppet;
static SERVICE_STATUS_HANDLE handle;
static HANDLE stopped;

static BOOL hangs(const char *when)
{
    char path[96];

    snprintf(path, sizeof path, "C:\\pe-lab\\%s.hangs-%s", name, when);
    return GetFileAttributesA(path) != INVALID_FILE_ATTRIBUTES;
}

static void tell(DWORD state)
{
    SERVICE_STATUS status = {SERVICE_WIN32_OWN_PROCESS, state};

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
    tell(SERVICE_STOP_PENDING);
    if (!hangs("stopping"))
        SetEvent(stopped);
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

static void WINAPI serve(DWORD count, char **words)
{
    (void)count, (void)words;
    stopped = CreateEventA(NULL, TRUE, FALSE, NULL);
    handle = RegisterServiceCtrlHandlerA(name, control);
    tell(SERVICE_START_PENDING);
    if (hangs("starting"))
        Sleep(INFINITE);
    tell(SERVICE_RUNNING);
    do {
        if (puppet)
            run_agent();
    } while (WaitForSingleObject(stopped, puppet ? RUN_INTERVAL : INFINITE) == WAIT_TIMEOUT);
    tell(SERVICE_STOPPED);
}

int main(int count, char **words)
{
    SERVICE_TABLE_ENTRYA table[] = {{name, serve}, {NULL, NULL}};

    if (count < 2 || count > 3 || strlen(words[1]) >= sizeof name) {
        fputs("usage: service.exe NAME [PUPPET_BAT]\n", stderr);
        return 2;
    }
    strcpy(name, words[1]);
    puppet = words[2];
    return !StartServiceCtrlDispatcherA(table);
}
