/* sc.exe: query, queryex, start and stop, as Windows' own prints them. Wine's has no queryex, and is silent where
 * Windows names its error. Wine's service manager also takes until the next start to notice that a service's process
 * has ended; Windows does at once, and so does this.
 */
#include <stdio.h>
#include <string.h>
#include <windows.h>

static const char *const states[] = {"?", "STOPPED", "START_PENDING", "STOP_PENDING", "RUNNING", "CONTINUE_PENDING",
                                     "PAUSE_PENDING", "PAUSED"};

static int fail(const char *what, DWORD error)
{
    const char *text = "";

    switch (error) {
    case ERROR_ACCESS_DENIED: text = "Access is denied."; break;
    case ERROR_SERVICE_REQUEST_TIMEOUT:
        text = "The service did not respond to the start or control request in a timely fashion.";
        break;
    case ERROR_SERVICE_ALREADY_RUNNING: text = "An instance of the service is already running."; break;
    case ERROR_SERVICE_DISABLED: text = "The service cannot be started, either because it is disabled"; break;
    case ERROR_SERVICE_DOES_NOT_EXIST: text = "The specified service does not exist as an installed service."; break;
    case ERROR_SERVICE_CANNOT_ACCEPT_CTRL: text = "The service cannot accept control messages at this time."; break;
    case ERROR_SERVICE_NOT_ACTIVE: text = "The service has not been started."; break;
    }
    printf("[SC] %s FAILED %lu:\r\n\r\n%s\r\n\r\n", what, error, text);
    return (int)error;
}

static void show(const char *name, const SERVICE_STATUS_PROCESS *status, BOOL extended)
{
    DWORD accepted = status->dwControlsAccepted;

    printf("\r\nSERVICE_NAME: %s \r\n", name);
    printf("        TYPE               : %lx  WIN32_OWN_PROCESS  \r\n", status->dwServiceType);
    printf("        STATE              : %lx  %s \r\n", status->dwCurrentState,
           states[status->dwCurrentState < 8 ? status->dwCurrentState : 0]);
    printf("                                (%s, NOT_PAUSABLE, %s)\r\n",
           accepted & SERVICE_ACCEPT_STOP ? "STOPPABLE" : "NOT_STOPPABLE",
           accepted & SERVICE_ACCEPT_SHUTDOWN ? "ACCEPTS_SHUTDOWN" : "IGNORES_SHUTDOWN");
    printf("        WIN32_EXIT_CODE    : %lu  (0x%lx)\r\n", status->dwWin32ExitCode, status->dwWin32ExitCode);
    printf("        SERVICE_EXIT_CODE  : %lu  (0x%lx)\r\n", status->dwServiceSpecificExitCode,
           status->dwServiceSpecificExitCode);
    printf("        CHECKPOINT         : 0x%lx\r\n", status->dwCheckPoint);
    printf("        WAIT_HINT          : 0x%lx\r\n", status->dwWaitHint);
    if (extended) {
        printf("        PID                : %lu\r\n", status->dwProcessId);
        printf("        FLAGS              : \r\n");
    }
}

static BOOL ended(DWORD process_id)
{
    HANDLE process = OpenProcess(SYNCHRONIZE, FALSE, process_id);

    return process ? WaitForSingleObject(process, 0) == WAIT_OBJECT_0 : GetLastError() == ERROR_INVALID_PARAMETER;
}

static BOOL ask(SC_HANDLE service, SERVICE_STATUS_PROCESS *status)
{
    DWORD needed;

    if (!QueryServiceStatusEx(service, SC_STATUS_PROCESS_INFO, (BYTE *)status, sizeof *status, &needed))
        return FALSE;
    if (status->dwCurrentState != SERVICE_STOPPED && status->dwProcessId && ended(status->dwProcessId)) {
        SERVICE_STATUS_PROCESS gone = {status->dwServiceType, SERVICE_STOPPED, 0, ERROR_PROCESS_ABORTED};

        *status = gone;
    }
    return TRUE;
}

static int query(SC_HANDLE service, const char *name, BOOL extended)
{
    SERVICE_STATUS_PROCESS status;

    if (!ask(service, &status))
        return fail("QueryServiceStatusEx", GetLastError());
    show(name, &status, extended);
    return 0;
}

int main(int count, char **words)
{
    SC_HANDLE manager, service;
    SERVICE_STATUS_PROCESS now;
    SERVICE_STATUS status;
    const char *command = count > 1 ? words[1] : "", *name = count > 2 ? words[2] : "";
    BOOL starts = !_stricmp(command, "start"), stops = !_stricmp(command, "stop");
    BOOL extended = !_stricmp(command, "queryex");

    if (count != 3 || !(starts || stops || extended || !_stricmp(command, "query"))) {
        printf("sc.exe of the lab knows: sc {query | queryex | start | stop} SERVICE\r\n");
        return ERROR_INVALID_PARAMETER;
    }
    manager = OpenSCManagerA(NULL, NULL, SC_MANAGER_CONNECT);
    if (!manager)
        return fail("OpenSCManager", GetLastError());
    service = OpenServiceA(manager, name, SERVICE_QUERY_STATUS | (starts ? SERVICE_START : 0) | (stops ? SERVICE_STOP : 0));
    if (!service)
        return fail(starts || stops ? "OpenService" : "EnumQueryServicesStatus:OpenService", GetLastError());
    if (starts && !StartServiceA(service, 0, NULL))
        return fail("StartService", GetLastError());
    if (stops && ask(service, &now) && now.dwCurrentState == SERVICE_STOPPED)
        return fail("ControlService", ERROR_SERVICE_NOT_ACTIVE);
    if (stops && !ControlService(service, SERVICE_CONTROL_STOP, &status))
        return fail("ControlService", GetLastError());
    return query(service, name, starts || extended);
}
