/* boot.exe: what a Windows that comes up does and Wine does not: the registry of LocalService (S-1-5-19) is there,
 * for SYSTEM and Administrators only. Administrators are commonly told from others by whether they can read it.
 * Wine keeps no access control lists over a restart.
 */
#include <stdio.h>
#include <windows.h>

#include <sddl.h>

int main(void)
{
    PSECURITY_DESCRIPTOR security;
    HKEY key;
    LSTATUS status;

    if (!ConvertStringSecurityDescriptorToSecurityDescriptorA("O:SYG:SYD:P(A;CI;KA;;;SY)(A;CI;KA;;;BA)",
                                                              SDDL_REVISION_1, &security, NULL))
        return 1;
    status = RegCreateKeyExA(HKEY_USERS, "S-1-5-19", 0, NULL, 0, KEY_ALL_ACCESS, NULL, &key, NULL);
    if (status == ERROR_SUCCESS)
        status = RegSetKeySecurity(key, OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION, security);
    if (status != ERROR_SUCCESS)
        fprintf(stderr, "boot.exe: HKU\\S-1-5-19: error %ld\n", status);
    return status != ERROR_SUCCESS;
}
