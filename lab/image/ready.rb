# frozen_string_literal: true

# Puppet's short commands, forked from one that has loaded Puppet: most of what they take is loading it, and the tests
# start a thousand of them. The first command of a host leaves that one behind. A command lives and dies with the
# program that was started, and has its arguments, environment and output. Daemons are started as ever.
require '/opt/pe-lab/compiled'

module Ready
  SOCKET = '/run/pe-lab-puppet'
  ONCE = %w[--test -t --onetime].freeze

  module_function

  # Has the command done, and ends as it does; returns where nobody is ready.
  def hand_over(argv)
    return unless Process.uid.zero? && Process.euid.zero? && short?(argv)

    require 'socket'
    begin
      socket = UNIXSocket.new(SOCKET)
    rescue SystemCallError
      return leave_one_behind
    end
    ask(socket, argv)
    await(socket)
  end

  def short?(argv)
    %w[cert config].include?(argv[0]) || (argv[0] == 'agent' && argv.any? { |word| ONCE.include?(word) })
  end

  def ask(socket, argv)
    words = Marshal.dump([argv, ENV.to_h, Dir.pwd, File.umask, $PROGRAM_NAME])
    socket.write([words.bytesize].pack('N'), words)
    [STDIN, STDOUT, STDERR].each { |io| socket.send_io(io) }
  end

  def await(socket)
    child = socket.read(4).unpack1('N')
    %w[HUP INT TERM].each do |signal|
      before = trap(signal) { Process.kill(signal, child) }
      trap(signal, before) if before == 'IGNORE'
    end
    status = socket.read(1)
    status ? exit!(status.ord) : Process.kill(:KILL, Process.pid)
  end

  # The first command of all starts as ever, and loads more than it needs.
  def leave_one_behind
    load_puppet
    return if fork

    Process.setsid
    close_what_is_inherited
    [[STDIN, 'r'], [STDOUT, 'w'], [STDERR, 'w']].each { |io, mode| io.reopen(File::NULL, mode) }
    Dir.chdir('/')
    $PROGRAM_NAME = 'ready for commands'
    lock = File.open("#{SOCKET}.lock", 'w', 0o600)
    serve if lock.flock(File::LOCK_EX | File::LOCK_NB)
    exit!
  end

  def load_puppet
    require 'rubygems'
    %w[agent application/agent application/cert application/config configurer daemon face/config indirector/rest
       network/http network/http_pool parameter/boolean property/keyvalue property/list property/ordered_list
       provider/aix_object provider/exec provider/ldap provider/nameservice provider/nameservice/directoryservice
       provider/nameservice/objectadd provider/nameservice/pw ssl/certificate_authority
       ssl/certificate_authority/interface util/backups util/command_line util/diff util/ldap/manager util/libuser
       util/selinux util/user_attr].each { |source| require "puppet/#{source}" }
  end

  # What was open before Ruby began, such as the lock of whoever has started the first command, or where he waits for
  # the end of what is said.
  def close_what_is_inherited
    (3..255).each do |number|
      io = IO.for_fd(number, autoclose: false)
      next if io.close_on_exec?

      io.autoclose = true
      io.close
    rescue SystemCallError, ArgumentError
      next # there is none, or it is one of Ruby's own
    end
  end

  def serve
    File.umask(0o077)
    File.delete(SOCKET) if File.exist?(SOCKET)
    server = UNIXServer.new(SOCKET)
    loop do
      socket = server.accept
      child = fork do
        server.close
        work(socket)
      end
      Process.detach(child)
      socket.close
    end
  end

  def work(socket)
    argv, env, directory, umask, program = Marshal.load(socket.read(socket.read(4).unpack1('N')))
    [[STDIN, 'r'], [STDOUT, 'w'], [STDERR, 'w']].each { |io, mode| io.reopen(IO.for_fd(socket.recv_io(nil), mode)) }
    ENV.replace(env)
    Dir.chdir(directory)
    File.umask(umask)
    Encoding.default_external = env.values_at('LC_ALL', 'LC_CTYPE', 'LANG').compact.first =~ /utf-?8/i ? 'UTF-8' : 'US-ASCII'
    ARGV.replace(argv)
    $PROGRAM_NAME = program
    Process.setproctitle("ruby #{[program, *argv].join(' ')}")
    die_with(socket)
    ended = nil
    tell_at_exit(socket) { ended }
    ended = status_of { load program }
    exit(ended)
  end

  def die_with(socket)
    worker = Process.pid
    socket.write([worker].pack('N'))
    Thread.new do
      socket.read(1)
      Process.kill(:KILL, worker)
    end
  end

  # After all that Puppet does at its end; not in what it forks.
  def tell_at_exit(socket)
    worker = Process.pid
    at_exit do
      next unless Process.pid == worker

      [STDOUT, STDERR].each(&:flush)
      socket.write([yield || 1].pack('C'))
    end
  end

  def status_of
    yield
    0
  rescue SystemExit => e
    e.status
  end
end

Ready.hand_over(ARGV)
require 'rubygems'
