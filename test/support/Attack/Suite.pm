# Attack::Suite — reads the attacks of test/attack, plays them in a laboratory, and says how each ended.
#
#     my @attacks = Attack::Suite::load("$top/test/attack");
#     my $suite   = Attack::Suite->new('ours');           # or recipe, or open: how the laboratory is protected
#     my $end     = $suite->play($attacks[0]);            # { verdict => 'blocked', 'reported', 'leaked' …, why => … }
#     Attack::Suite::expected($attacks[0]);               # what the verdict is to be
#
# test/attack/README.md describes the files.  Each attack is played in a copy of the laboratory's database that nobody has
# written to; what it does to roles, which all databases share, is put back afterwards.
package Attack::Suite;

use strict;
use warnings FATAL => 'all';

use Carp qw(croak);
use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use IPC::Run qw(run timeout);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @classes = (
	[ A => 'tampering with the context' ],
	[ B => 'lifetime of the context' ],
	[ C => 'bypass by objects and privileges' ],
	[ D => 'side channels' ],
	[ E => 'odd contexts' ],
	[ F => 'generated DDL' ],
	[ G => 'writes' ],);

my $directory = abs_path(dirname(__FILE__) . '/../../attack');
my $secret    = qr/GLOBEX-SECRET/;

# What tells whether anybody has written.
my $next_transaction   = 'SELECT pg_snapshot_xmax(pg_current_snapshot())';
my $state_of_sequences =
  "SELECT schemaname, sequencename, last_value FROM pg_sequences WHERE schemaname <> 'tenancy' ORDER BY 1, 2";

#
# Reading
#

sub load
{
	my @attacks = map { _read($_) } sort glob "$directory/[a-z]_*.sql";
	my %seen;
	$seen{ $_->{id} }++ and croak "$_->{file}: $_->{id} is there twice" for @attacks;
	return @attacks;
}

sub _read
{
	my ($path) = @_;
	my @attacks;
	my $attack = { file => basename($path) };
	for my $line (split /^/, PostgreSQL::Test::Utils::slurp_file($path))
	{
		if ($line =~ /^--: ([A-Z]\d\d) (.*\S)/)
		{
			push @attacks, $attack = { file => basename($path), id => $1, title => $2, steps => [] };
		}
		elsif ($line =~ /^--: (\w+)(?: (.*\S))?$/)
		{
			_directive($attack, $1, $2);
		}
		elsif ($line =~ /^--:/)
		{
			croak "$path: cannot read: $line";
		}
		elsif ($attack->{steps} && @{ $attack->{steps} })
		{
			$attack->{steps}[-1]{sql} .= $line;
		}
	}
	return @attacks;
}

sub _directive
{
	my ($attack, $word, $rest) = @_;
	my $where = "$attack->{file}: $attack->{id}";

	my $steps = $attack->{steps};

	if ($word =~ /^(?:as|meanwhile|try)$/)
	{
		my ($role, $options) = $rest =~ /^(\w+)(?: with (.+))?$/ or croak "$where: as whom? $rest";
		push @$steps, { kind => $word, role => $role, options => $options, sql => '', watched => $role !~ /^(?:dba|globex)$/ };
	}
	elsif ($word =~ /^(?:again|look)$/)
	{
		my ($before) = grep { $_->{kind} ne 'meanwhile' } reverse @$steps;
		if ($word eq 'look') { $_->{watched} = 0 for @$steps; }
		push @$steps, { %$before, kind => 'again', sql => '', watched => $word eq 'look' || $before->{watched} };
	}
	elsif ($word eq 'world') { $attack->{world} = $rest; }
	elsif ($word eq 'leak')  { $attack->{leak_if} = $rest =~ s/^if //r; }
	elsif ($word =~ /^(?:only|needs|secret|report|names|documented)$/) { $attack->{$word} = $rest // 1; }
	else { croak "$where: unknown directive \"$word\""; }
	return;
}

# How an attack on ours has to end: no better and no worse.
sub expected
{
	my ($attack) = @_;
	return 'leaked'   if $attack->{documented};
	return 'reported' if $attack->{report};
	return 'blocked';
}

# Does the attack have a meaning in this mode?
sub applies
{
	my ($attack, $mode) = @_;
	return !$attack->{only} || $attack->{only} eq $mode;
}

#
# The laboratory
#

# Options: host of a MongoDB with a replica set rs0, for attacks that need one.
sub new
{
	my ($class, $mode, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new("attack_$mode");
	$node->init(allows_streaming => 'logical', extra => [ '--locale=C', '--encoding=UTF8' ]);
	$node->append_conf('postgresql.conf', <<'CONF');
max_worker_processes = 16
max_prepared_transactions = 4
autovacuum = off
log_min_messages = log
log_statement = none
CONF
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'tenancy'") if $mode eq 'ours';
	$node->start;

	my $self = bless { mode => $mode, node => $node, played => 0, mongo => $options{mongo} // '' }, $class;
	my $user = $node->safe_psql('postgres', 'SELECT current_user');
	$self->{scratch} = PostgreSQL::Test::Utils::tempdir("attack_$mode");
	$self->_admin('postgres', { user => $user }, "$directory/lab/roles.sql");
	$self->_admin('postgres', {}, \'CREATE DATABASE laboratory');
	$self->_admin('laboratory', {}, "$directory/lab/$mode.sql", "$directory/lab/world.sql");
	$self->_admin('postgres', {}, \'CALL lab.remember()');
	($self->{sequences}) = $self->_ask('laboratory', $state_of_sequences);
	return $self;
}

sub node { return $_[0]->{node}; }

sub _environment
{
	my ($self) = @_;
	return (PGHOST => $self->{node}->host, PGPORT => $self->{node}->port, PGCLIENTENCODING => 'UTF8');
}

# Runs files, or the text behind a reference, as the superuser; dies on an error.  Returns what is printed.
sub _admin
{
	my ($self, $database, $options, @what) = @_;
	my ($out, $err) = ('', '');
	local %ENV = (%ENV, $self->_environment);
	my @command = ('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-U', $options->{user} // 'dba', '-d', $database);
	push @command, ref $_ ? ('-c', $$_) : ('-f', $_) for @what;
	run \@command, '<', \'', '>', \$out, '2>', \$err, timeout(120) or croak "the laboratory: $err";
	return $out;
}

#
# Playing
#

# One attack: its steps as one psql script, in a fresh database; in two of them if two worlds are compared.
sub play
{
	my ($self, $attack) = @_;
	my $seen = $self->_play_in($attack, 0);
	my $why  = $seen->{failed};

	return { verdict => 'broken', why => $why, seen => $seen } if defined $why;
	$why = $self->_leak($attack, $seen);
	if (!defined $why && defined $attack->{world})
	{
		my $other = $self->_play_in($attack, 1);
		return { verdict => 'broken', why => $other->{failed}, seen => $other } if defined $other->{failed};
		$why = "tells two worlds apart: " . _difference($seen->{text}, $other->{text}) if $seen->{text} ne $other->{text};
	}
	if (!defined $why)
	{
		return { verdict => 'blocked', why => _last_line($seen->{text}), seen => $seen } if !$attack->{names} || $seen->{finding};
		return { verdict => 'nameless', why => "isolation_report() says nothing of $attack->{names}", seen => $seen };
	}
	return { verdict => 'reported', why => "$why; isolation_report: $seen->{finding}", seen => $seen } if $seen->{finding};
	return { verdict => 'leaked', why => $why, seen => $seen };
}

sub _play_in
{
	my ($self, $attack, $other_world) = @_;
	my $database = $self->_fresh_database;
	my $seen     = $self->_play_steps($attack, $database, $other_world);

	# One connection for all that is asked afterwards.
	my $leak = $attack->{leak_if} ? "($attack->{leak_if})::boolean" : 'false';
	(@$seen{qw(damage leak)}, my @state) =
	  $self->_ask($database, 'SELECT * FROM referee.damage()', "SELECT $leak", $next_transaction, $state_of_sequences);
	$self->{written} = "@state" ne "@{ $self->{state} }";
	$seen->{finding} //= $self->_finding($attack, $database);
	return $seen;
}

# The database of the attack before, if nobody has written since it was made: no transaction of the server's has a number,
# and no sequence went on without one.  A new copy otherwise; a database's privileges are not copied.
sub _fresh_database
{
	my ($self) = @_;
	my $old = $self->{database};
	return $old if defined $old && !$self->{written};

	my $new = $self->{database} = 'attack_' . ++$self->{played};
	my @printed = $self->_ask('postgres', defined $old ? ("DROP DATABASE $old WITH (FORCE)", 'CALL lab.restore()') : (),
		"CREATE DATABASE $new TEMPLATE laboratory", "GRANT CREATE ON DATABASE $new TO mallory", $next_transaction);
	$self->{state} = [ $printed[-1], $self->{sequences} ];
	return $new;
}

# What each query prints, if that is anything.
sub _ask
{
	my ($self, $database, @queries) = @_;
	return split /<<end>>\n/, $self->_admin($database, {}, map { (\$_, \'\echo <<end>>') } @queries);
}

# Sessions come one after the other, each a psql of its own: one that is refused keeps no other from trying.
sub _play_steps
{
	my ($self, $attack, $database, $other_world) = @_;
	my @steps = @{ $attack->{steps} };
	my $seen = { text => '', all => '', failed => undef };

	if ($other_world)
	{
		my ($first) = grep { $steps[$_]{role} ne 'dba' } 0 .. $#steps;
		splice @steps, $first // 0, 0, { kind => 'as', role => 'dba', sql => "$attack->{world};\n" };
	}
	while (@steps)
	{
		# A DBA who looks before the attack must see the hole as well as one who looks after it.
		$seen->{finding} //= $self->_finding($attack, $database) if $steps[0]{role} ne 'dba';
		my @session = shift @steps;
		push @session, shift @steps while @steps && $steps[0]{kind} =~ /^(?:again|meanwhile)$/;
		$self->_session($attack, $database, \@session, $seen);
	}

	# An attack that PostgreSQL cannot even read proves nothing.
	$seen->{failed} //= $1 if $seen->{text} =~ /(ERROR: .*syntax error.*)/;
	return $seen;
}

# One session, and what others do meanwhile.  Marks in both streams tell what belongs to which step.
sub _session
{
	my ($self, $attack, $database, $session, $seen) = @_;
	my $opening = $session->[0];
	my ($out, $err) = ('', '');
	local %ENV = (%ENV, $self->_environment, PGDATABASE => $database, PGOPTIONS => $opening->{options} // '');

	my $script = "\\set ON_ERROR_STOP 0\n\\set mongo '$self->{mongo}'\n\\pset pager off\n";
	for my $i (0 .. $#$session)
	{
		my $step = $session->[$i];
		$script .= $step->{kind} eq 'meanwhile' ? $self->_meanwhile($step, $database, $i) : $step->{sql};
		$script .= "\n\\echo <<end>>\n\\warn <<end>>\n";
	}
	my $file = "$self->{scratch}/session.sql";
	_write($file, $script);
	run [ 'psql', '-XAtq', '-U', $opening->{role}, '-d', $database, '-f', $file ], '<', \'', '>', \$out, '2>', \$err, timeout(60);

	my @out = split /<<end>>\n/, $out;
	my @err = split /(?:psql:\S+ )?<<end>>\n/, $err;
	for my $i (0 .. $#$session)
	{
		my $step = $session->[$i];
		my $part = ($out[$i] // '') . ($err[$i] // '');
		$part = PostgreSQL::Test::Utils::slurp_file("$self->{scratch}/meanwhile_$i.out") if $step->{kind} eq 'meanwhile';
		$part =~ s/^psql:\S+: //mg;
		$seen->{all} .= "--: $step->{kind} $step->{role}\n" . _head($part);
		$seen->{text} .= $part if $step->{watched};
		$seen->{failed} //= "in the set-up: $1" if $step->{role} eq 'dba' && $step->{kind} ne 'try' && $part =~ /(ERROR: .*)/;
	}
	return;
}

sub _meanwhile
{
	my ($self, $step, $database, $i) = @_;
	my $name = "$self->{scratch}/meanwhile_$i";
	_write("$name.sql", $step->{sql});
	return "\\! psql -XAtq -U $step->{role} -d $database -f $name.sql > $name.out 2>&1\n";
}

sub _write
{
	my ($path, $text) = @_;
	open my $file, '>', $path or croak "$path: $!";
	print $file $text;
	close $file or croak "$path: $!";
	return;
}

#
# Verdicts
#

sub _leak
{
	my ($self, $attack, $seen) = @_;
	my $canary = defined $attack->{secret} ? qr/$attack->{secret}/ : $secret;

	return "shows $1" if $seen->{text} =~ /($canary\S{0,40})/;
	return _first_line($seen->{damage}) if $seen->{damage} ne '';
	return "true: $attack->{leak_if}" if ($seen->{leak} // '') =~ /^t/;
	return;
}

# The finding that names the hole: "code" or "code object".
sub _finding
{
	my ($self, $attack, $database) = @_;
	my $names = $attack->{report} // $attack->{names};
	return if $self->{mode} ne 'ours' || !$names;
	my ($code, $object) = split / /, $names, 2;
	my $condition = "code = '$code'" . (defined $object ? " AND object LIKE '\%$object\%'" : '');
	return _first_line($self->_admin($database, {},
		\"SELECT code || ' ' || object FROM tenancy.isolation_report() WHERE $condition LIMIT 1"));
}

# What a reader wants of forty rows, or of a file's bytes.
sub _head
{
	my ($text) = @_;
	my @lines = map { length > 200 ? substr($_, 0, 200) . "…\n" : $_ } split /^/, $text;
	return @lines > 12 ? join('', @lines[ 0 .. 9 ], '… ' . (@lines - 10) . " more lines\n") : join('', @lines);
}

sub _first_line { my ($text) = @_; return (split /\n/, $text)[0]; }

sub _last_line
{
	my ($text) = @_;
	my ($error) = $text =~ /((?:ERROR|FATAL): .*)/;
	return $error // 'nothing of the victim is shown or changed';
}

sub _difference
{
	my ($one, $other) = @_;
	my @one   = split /\n/, $one;
	my @other = split /\n/, $other;
	for my $i (0 .. $#one) { return qq("$one[$i]" and ") . ($other[$i] // '') . '"' if $one[$i] ne ($other[$i] // ''); }
	return 'more lines';
}

1;
