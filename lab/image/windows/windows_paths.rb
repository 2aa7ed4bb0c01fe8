# frozen_string_literal: true

# Puppet on Windows prints C:/directory/file. Here the drive is the directory /C:, and so are the paths that Puppet has.
[$stdout, $stderr].each do |stream|
  stream.define_singleton_method(:write) do |*parts|
    super(*parts.map { |part| part.to_s.gsub(%r{(?<![\w/])/C:/}, 'C:/') })
  end
end
