# A copy of PostgreSQL's installation, to which a test may add an extension's next version, or from which it may take a library.
#
#     my $copy = copied_installation();
#     append_to_file("$copy->{extension}/tenancy--1.0--1.0.1.sql", …);
#     PostgreSQL::Test::Cluster->new('next', install_path => $copy->{root});        its libraries: $copy->{libraries}

package Installation;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use File::Basename;
use File::Path;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(copied_installation);

sub copied_installation
{
	my %path = map { my $value = `pg_config --$_`; chomp $value; ($_ => $value) } ('bindir', 'sharedir', 'pkglibdir');
	my $tree = "${PostgreSQL::Test::Utils::tmp_check}/tree";
	my $top  = $path{bindir};

	$top = dirname($top) until "$path{sharedir}/" =~ /^\Q$top\E\// && "$path{pkglibdir}/" =~ /^\Q$top\E\//;
	my %copy = map { ($_ => $tree . substr($path{$_}, length $top)) } keys %path;
	for my $directory (keys %path)
	{
		File::Path::make_path(dirname($copy{$directory}));
		system_or_bail('cp', '-a', $path{$directory}, $copy{$directory});
	}
	return { root => dirname($copy{bindir}), extension => "$copy{sharedir}/extension", libraries => $copy{pkglibdir} };
}

1;
