# The attack suite: what a hostile customer and a forgetful DBA try, in a laboratory that pg_tenancy protects.
#
# An attack is blocked; or isolation_report() names the hole; or PostgreSQL leaves it open to whoever, and
# docs/threat-model.md says why.  Each attack says which, and ends so, or the test has failed.
#
#     ATTACK=A01,D   these only: identifiers or classes
#     ATTACK_SHOW=1  with all that the sessions show
#     ATTACK_MODE=recipe (or open)   the same attacks on the plain recipe, or on nothing: make attack
#
# test/attack/README.md describes the attacks.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Attack::Suite;
use Mongo::Server;
use PostgreSQL::Test::Utils;
use Test::More;

my $mode    = $ENV{ATTACK_MODE} || 'ours';
my @wanted  = split /,/, $ENV{ATTACK} // '';
my @attacks = grep { Attack::Suite::applies($_, $mode) } Attack::Suite::load();
@attacks = grep { my $id = $_->{id}; grep { $id =~ /^$_/ } @wanted } @attacks if @wanted;

my $threats = slurp_file("$FindBin::RealBin/../../docs/threat-model.md");
my $mongo;
$mongo = Mongo::Server->new('attack')->start if $mode eq 'ours' && grep { $_->{needs} } @attacks;
my $suite = Attack::Suite->new($mode, mongo => $mongo && $mongo->host);
my %score;

for my $attack (@attacks)
{
	my $end  = $suite->play($attack);
	my $name = "$attack->{id} $attack->{title}";

	if ($mode eq 'ours')
	{
		my $good = is($end->{verdict}, Attack::Suite::expected($attack), $name);
		diag("$end->{why}\n$end->{seen}{all}") unless $good;
		like($threats, qr/^\| $attack->{id} \|/m, "$attack->{id} is in the threat model") if $attack->{documented};
		$end->{verdict} = 'documented' if $good && $attack->{documented};
	}
	else
	{
		isnt($end->{verdict}, 'broken', "$name: $end->{verdict}") or diag("$end->{why}\n$end->{seen}{all}");
	}
	$score{ substr $attack->{id}, 0, 1 }{ $end->{verdict} }++;
	note("$attack->{id} $end->{verdict}: $end->{why}");
	diag("$name: $end->{verdict}: $end->{why}\n$end->{seen}{all}") if $ENV{ATTACK_SHOW};
}

my %total;
for my $class (@Attack::Suite::classes)
{
	my ($letter, $title) = @$class;
	my %class = %{ $score{$letter} // {} };
	$total{$_} += $class{$_} for keys %class;
	note("$letter $title: " . summary(\%class)) if %class;
}
diag("$mode: " . summary(\%total));

sub summary
{
	my ($count) = @_;
	my $all = 0;
	$all += $_ for values %$count;
	my @parts = (($count->{blocked} // 0) . " of $all blocked");
	push @parts, "$count->{$_} $_" for grep { $count->{$_} } qw(reported documented leaked nameless broken);
	return join ', ', @parts;
}

done_testing();
