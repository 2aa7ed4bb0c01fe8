"""What the Ruby scripts that speak TLS on a host share. They run under Ruby 1.9 as well, and like
all of ours without RubyGems, which they do not need and whose loading is most of a short one."""

from __future__ import annotations

from facts.reading import READ_FILE

RUBY_CLIENT = (
    READ_FILE
    + r"""
require "openssl"
require "socket"
require "timeout"

def say(*fields)
  print [fields.size, *fields].join("\0"), "\0"
end

def open_socket(addresses, port)
  addresses.each do |address|
    begin
      return TCPSocket.new(address, port)
    rescue StandardError
      next
    end
  end
  raise "nothing listens on port #{port}"
end

# PostgreSQL wants to be asked in clear text first.
def takes_tls?(socket)
  socket.write([8, 80877103].pack("NN"))
  socket.read(1) == "S"
end

# TLS 1.3 is left out: there a client learns only after the handshake whether its certificate was
# refused.
def tls_context
  context = OpenSSL::SSL::SSLContext.new
  context.options = OpenSSL::SSL::OP_ALL
  context.options |= OpenSSL::SSL::OP_NO_TLSv1_3 if OpenSSL::SSL.const_defined?(:OP_NO_TLSv1_3)
  context
end
"""
)
