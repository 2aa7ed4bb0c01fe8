/* certutil.exe for Wine, which has none that does anything: -encode and -decode alone, as Windows'
 * own: base64 with 64 characters a line between certificate marks, an existing or empty file
 * refused.
 */
#include <windows.h>
#include <wincrypt.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const wchar_t *what, DWORD error)
{
    wprintf(L"%ls returned 0x8007%04lx (WIN32: %lu)\nCertUtil: the command FAILED.\n", what, error,
            error);
    return (int)(0x80070000 | error);
}

int wmain(int count, wchar_t **words)
{
    LARGE_INTEGER size;
    DWORD length, done, flags = CRYPT_STRING_BASE64HEADER;
    BOOL encode;
    HANDLE file;
    char *content, *result;

    if (count != 4 || (wcscmp(words[1], L"-encode") && wcscmp(words[1], L"-decode")))
        return fail(L"Expected -encode or -decode, and two files:", ERROR_INVALID_PARAMETER);
    encode = !wcscmp(words[1], L"-encode");

    file = CreateFileW(words[2], GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return fail(L"Reading", GetLastError());
    GetFileSizeEx(file, &size);
    if (!size.QuadPart)
        return fail(L"Reading", ERROR_FILE_INVALID);
    content = malloc(size.QuadPart);
    if (!ReadFile(file, content, size.QuadPart, &length, NULL))
        return fail(L"Reading", GetLastError());
    CloseHandle(file);

    if (encode) {
        CryptBinaryToStringA((BYTE *)content, length, flags, NULL, &done);
        result = malloc(done);
        if (!CryptBinaryToStringA((BYTE *)content, length, flags, result, &done))
            return fail(L"EncodeToFile", GetLastError());
    } else {
        if (!CryptStringToBinaryA(content, length, CRYPT_STRING_BASE64_ANY, NULL, &done, NULL, NULL))
            return fail(L"DecodeFile", GetLastError());
        result = malloc(done);
        CryptStringToBinaryA(content, length, CRYPT_STRING_BASE64_ANY, (BYTE *)result, &done, NULL,
                             NULL);
    }

    file = CreateFileW(words[3], GENERIC_WRITE, 0, NULL, CREATE_NEW, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return fail(encode ? L"EncodeToFile" : L"DecodeFile", GetLastError());
    if (!WriteFile(file, result, done, &length, NULL) || !CloseHandle(file))
        return fail(L"Writing", GetLastError());
    wprintf(L"Input Length = %lu\nOutput Length = %lu\nCertUtil: -%ls command completed "
            L"successfully.\n", (DWORD)size.QuadPart, done, encode ? L"encode" : L"decode");
    return 0;
}
