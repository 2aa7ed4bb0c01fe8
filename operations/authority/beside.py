"""What is typed around a CA's program that makes a CA aside."""

from __future__ import annotations

from facts.puppet import UTF8_LOCALE
from operations.placing import PLACING
from recert.aside import Aside

# The program makes its directories open to others as far as that is usual, so it gets one of its
# own in one that is not. What it has made is given to Puppet's account afterwards, who may not come
# near it by then: what has another name besides stays root's, and is not put into place.
BESIDE = (
    PLACING
    + UTF8_LOCALE
    + r"""
top=$1 retires=$2 asked_for=$3 owner=$4 ssldir=$5; shift 5
name=./${top##*/} complete=
could_not() { fail "Puppet could not make the new CA and its certificates: see above."; }
without_aside() {
    [ -n "$complete" ] || {
        (enter "${top%/*}" && rm -rf -- "$name")
        echo "Nothing is left of what was to be made aside in $top." >&2
    }
}
begin_aside() {
    enter "${top%/*}"
    rm -rf -- "$name"
    [ ! -e "$name" ] && [ ! -L "$name" ] || fail "$top is in the way, and cannot be removed."
    trap without_aside EXIT
    trap 'exit 1' HUP INT PIPE TERM
    mkdir -m 0700 -- "$name" && cd -- "$name" && [ "$(pwd -P)" = "$here/${top##*/}" ] &&
        [ "$(stat -c '%u %a' .)" = "$(id -u) 700" ] || fail "Cannot make $top."
    umask 077
    mkdir new && chown "$owner" new && chmod 0711 . || fail "Cannot make $top/new."
    [ -z "$asked_for" ] || printf '%s' "$asked_for" >csr_attributes.yaml ||
        fail "Cannot write to $top."
    mine=$(stat -c '%d:%i' .) || exit
    umask 022
    cd / || exit
    make "$ssldir" 0771 "$owner"
}
inside() { # where Puppet's account has the directory above, it can put another one in its place
    enter "$top"
    [ "$(stat -c '%d:%i' .)" = "$mine" ] || fail "$top was replaced while Puppet worked in it."
}
end_aside() {
    inside
    chown -h 0:0 ./new || fail "Cannot close $top/new."
    for made in "$top"/new/*; do give "$owner" "$made" directory; done
}
note_aside() {
    inside
    (umask 077; printf '%s\n' "$retires" >./retires) || fail "Cannot write to $top."
    complete=yes
}
"""
)
"""Takes the first arguments of a script, which are those of `beside`. What is made between
`begin_aside` and `end_aside` counts once `note_aside` has noted it; before, nothing of it stays."""


def beside(aside: Aside, retires: str, attributes: str) -> tuple[str, ...]:
    """
    :param retires: the fingerprint of the CA in whose place the new one is to come.
    :param attributes: a csr_attributes.yaml to go by; empty for none of ours.
    """
    place = aside.place
    return aside.top, retires, attributes, f"{place.user}:{place.group}", aside.settings.ssldir
