"""Step 5 waits for services until they answer, and says of which one nothing came."""

from __future__ import annotations

from tests.e2e.site import Master, assert_regenerated

# Stand-ins that begin as the real ones do: PostgreSQL refuses work, PuppetDB answers with 503, or
# dies, as long as a file says so.
_SLOW = r"""
sed -i -E \
    -e "s|respond\(tls, '404 Not Found', '\{\}'\)|respond(tls, status_of(component), '{}')|" \
    -e "s|return tls.close if component.protocol == :postgresql|return greet(tls) if component.protocol == :postgresql|" \
    -e "s|^def serve\(.*|&\n  Thread.new { sleep 1; exit!(1) } if component.port == 8081 \&\& File.exist?('/run/dying')|" \
    /opt/pe-lab/component
cat >/tmp/slow.rb <<'RUBY'
def status_of(component)
  component.port == 8081 && File.exist?('/run/starting-8081') ? '503 Service Unavailable' : '404 Not Found'
end

def greet(tls)
  tls.readpartial(100)
  body = "SFATAL\0C57P03\0Mthe database system is starting up\0\0"
  tls.write("E#{[body.bytesize + 4].pack('N')}#{body}") if File.exist?('/run/starting-5432')
  tls.close
end
RUBY
sed -i '/^def respond/e cat /tmp/slow.rb; echo' /opt/pe-lab/component
ruby -c /opt/pe-lab/component
"""  # noqa: E501

# Ends the beginning of each some seconds after it was started anew, and notes the uptime.
_FINISH = r"""
cat >/tmp/finish <<'SCRIPT'
entered() { systemctl show -p ActiveEnterTimestampMonotonic "$1"; }
database=$(entered pe-postgresql) puppetdb=$(entered pe-puppetdb)
for service in "pe-postgresql:5432:$database" "pe-puppetdb:8081:$puppetdb"; do
    name=${service%%:*} before=${service##*:} port=${service#*:} port=${port%:*}
    while [ "$(entered "$name")" = "$before" ]; do sleep 0.1; done
    sleep 8
    cut -d' ' -f1 /proc/uptime >"/run/finished-$port"
    rm "/run/starting-$port"
done
SCRIPT
touch /run/starting-5432 /run/starting-8081
setsid sh /tmp/finish >/dev/null 2>&1 </dev/null &
"""


def started(master: Master, service: str) -> float:
    """When a service was started last, seconds of the host's uptime."""
    shown = master.sh(f"systemctl show -p ActiveEnterTimestampMonotonic {service}")
    return int(shown.partition("=")[2]) / 1e6


def test_nothing_is_started_before_what_it_needs_answers(master: Master) -> None:
    retired = master.ca.fingerprint
    master.sh(_SLOW)
    master.sh(_FINISH)

    run = master.pyinfra("deploys/master.py", "-y", "--data", f"retire_ca={retired}")

    assert run.status == 0, run.stderr
    database = float(master.sh("cat /run/finished-5432"))
    puppetdb = float(master.sh("cat /run/finished-8081"))
    assert started(master, "pe-postgresql") < database
    assert database < started(master, "pe-puppetdb") < puppetdb
    assert database < started(master, "pe-console-services")
    # What needs nobody does not wait for PuppetDB; the agent, whose run needs it, does.
    assert max(started(master, name) for name in ("pe-httpd", "pe-mcollective")) < puppetdb
    assert puppetdb < started(master, "pe-puppet")
    waiting = "waiting for pe-postgresql (port 5432: the database system is starting up): "
    assert waiting in run.text
    assert "waiting for pe-puppetdb (port 8081: HTTP status 503): " in run.text
    assert_regenerated(master, retired)


def test_a_service_of_which_nothing_comes_is_named(init_master: Master) -> None:
    master, retired = init_master, init_master.ca.fingerprint
    master.sh(_SLOW)

    master.sh("touch /run/dying /run/starting-8081")
    died = master.regenerate(retired)
    master.sh("rm /run/dying")
    silent = master.regenerate(retired, "--config", "tests/e2e/answers_soon.py")
    without = master.running()
    master.sh("rm /run/starting-8081")
    preview = master.preview(retired)
    last = master.regenerate(retired)

    assert (died.status, silent.status, last.status) == (1, 1, 0), last.stderr
    log = "Look into /var/log/pe-puppetdb/pe-puppetdb.log on the master."
    assert f"pe-puppetdb has stopped (port 8081: nothing listens on port 8081). {log}" in died.text
    assert "pe-puppetdb does not answer after" not in died.text, "it is not waited for to the end"
    assert "pe-puppetdb does not answer after" in silent.text
    assert f"s (port 8081: HTTP status 503). {log}" in silent.text
    assert "pe-puppetdb" in without and "pe-puppet" not in without
    assert preview.planned == last.changed == ["5 Restart PE services", "5 Kick off a Puppet run"]
    assert_regenerated(master, retired)
