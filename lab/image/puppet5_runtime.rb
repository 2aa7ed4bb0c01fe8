# frozen_string_literal: true

# What PuppetDB's terminus for Puppet 7 uses of that Puppet's HTTP client, over Puppet 5's.

require 'puppet/network/http_pool'

class Puppet5Http
  Response = Struct.new(:net_http) do
    def code
      net_http.code.to_i
    end

    def reason
      net_http.message
    end

    def body
      net_http.body
    end

    def success?
      net_http.is_a?(Net::HTTPSuccess)
    end

    def [](header)
      net_http[header]
    end
  end

  def get(url, headers: {}, options: {})
    Response.new(connection(url).get(url.request_uri, headers, options.slice(:metric_id)))
  end

  def post(url, body, headers: {}, options: {})
    Response.new(connection(url).post(url.request_uri, body, headers, options.slice(:metric_id, :compress)))
  end

  private

  def connection(url)
    Puppet::Network::HttpPool.http_instance(url.host, url.port)
  end
end

module Puppet
  def self.runtime
    { http: Puppet5Http.new }
  end

  module HTTP
    class HTTPError < Puppet::Error; end
    class ResponseError < HTTPError; end
  end

  module SSL
    class SSLError < Puppet::Error; end unless const_defined?(:SSLError)
  end
end
