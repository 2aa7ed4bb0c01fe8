# frozen_string_literal: true

# MCollective's configuration has lists of paths, which have a drive's colon in them on Windows.
File.send(:remove_const, :PATH_SEPARATOR)
File::PATH_SEPARATOR = ';'
