/* ruby.exe: Puppet's own Ruby as PE for Windows brings it, except that the Ruby behind it is the container's.
 *
 * It crosses over to /opt/pe-lab/cross with the arguments as they are, which leaves output and exit status in files:
 * a Linux program that Wine starts can be neither waited for nor given a pipe of Wine's. There is no standard input.
 */
#include <stdio.h>
#include <windows.h>

#define LONGEST 32767
#define INTERVAL 10

static wchar_t exchange[64];

static const wchar_t *arguments(const wchar_t *line)
{
    BOOL quoted = FALSE;

    for (; *line && (quoted || (*line != ' ' && *line != '\t')); line++)
        if (*line == '"')
            quoted = !quoted;
    while (*line == ' ' || *line == '\t')
        line++;
    return line;
}

static HANDLE open_exchanged(const wchar_t *name)
{
    wchar_t path[96];

    swprintf(path, 96, L"\\\\?\\unix%ls\\%ls", exchange, name);
    return CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                       OPEN_EXISTING, 0, NULL);
}

/* Pass on what is new in a file of the exchange. */
static void pass_on(HANDLE from, DWORD to)
{
    char buffer[65536];
    DWORD size, written;

    while (ReadFile(from, buffer, sizeof buffer, &size, NULL) && size)
        WriteFile(GetStdHandle(to), buffer, size, &written, NULL);
}

int main(void)
{
    static wchar_t line[LONGEST];
    STARTUPINFOW startup = {sizeof startup};
    PROCESS_INFORMATION process;
    HANDLE output, errors, ended;
    char status[16] = "";
    DWORD size, process_id = GetCurrentProcessId(), now = GetTickCount();

    swprintf(exchange, 64, L"\\run\\pe-lab\\%lu-%lu", process_id, now);
    swprintf(line, LONGEST, L"cross %lu-%lu %ls", process_id, now, arguments(GetCommandLineW()));
    if (!CreateProcessW(L"\\\\?\\unix\\opt\\pe-lab\\cross", line, NULL, NULL, FALSE, 0, NULL, NULL, &startup,
                        &process)) {
        fprintf(stderr, "ruby.exe: the container's Ruby does not start: error %lu\n", GetLastError());
        return 255;
    }
    while ((ended = open_exchanged(L"started")) == INVALID_HANDLE_VALUE)
        Sleep(INTERVAL);
    CloseHandle(ended);
    output = open_exchanged(L"output");
    errors = open_exchanged(L"errors");
    while ((ended = open_exchanged(L"status")) == INVALID_HANDLE_VALUE) {
        pass_on(output, STD_OUTPUT_HANDLE);
        pass_on(errors, STD_ERROR_HANDLE);
        Sleep(INTERVAL);
    }
    pass_on(output, STD_OUTPUT_HANDLE);
    pass_on(errors, STD_ERROR_HANDLE);
    ReadFile(ended, status, sizeof status - 1, &size, NULL);
    return atoi(status);
}
