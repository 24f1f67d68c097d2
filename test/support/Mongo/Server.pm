# Mongo::Server — a private mongod for a TAP test, as PostgreSQL::Test::Cluster is a private PostgreSQL.
#
#     use Mongo::Server;
#     my $mongo = Mongo::Server->new('main');          # options: auth => 1, replicas => 0, extra => ['--oplogSize', '4'],
#                                                      # known_as => 'host:port' (of a proxy), member => 1 (of a set of several)
#     $mongo->start;                                   # a one-node replica set on a free port; returns once it is a
#                                                      # writable primary
#     $mongo->command('shop', '{"ping": 1}');          # JSON text (a command's keys are ordered) …
#     $mongo->command('shop', [ping => 1]);            # … or pairs; returns the decoded reply, dies on an error
#     $mongo->insert('shop', 'items', '{"_id": 1, "n": {"$numberLong": "5"}}');
#     my @documents = $mongo->find_all('shop', 'items', '{"n": {"$gt": 3}}');
#
# Faults: kill9, restart, stall (SIGSTOP: it accepts connections and never answers), continue, fail_point.
# Whatever happens, no mongod outlives the test.
package Mongo::Server;

use strict;
use warnings FATAL => 'all';

use Carp qw(croak);
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Open2 qw(open2);
use JSON::PP ();
use POSIX qw(WNOHANG WUNTRACED);
use Time::HiRes qw(usleep);

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

my $support = abs_path(dirname(__FILE__) . '/..');
my $project = abs_path("$support/../..");
my $json    = JSON::PP->new->canonical->allow_nonref;
my @running;

sub new
{
	my ($class, $name, %options) = @_;
	my $replicas = delete $options{replicas} // 1;
	my $self     = {
		name         => $name,
		port         => PostgreSQL::Test::Cluster::get_free_port(),
		replica_set  => $replicas ? 'rs0' : undef,
		auth         => delete $options{auth},
		uri_options  => delete $options{uri_options} // '',
		extra        => delete $options{extra} // [],
		known_as     => delete $options{known_as},
		member       => delete $options{member},
		data_dir     => abs_path(PostgreSQL::Test::Utils::tempdir("mongod_$name")),
		log_file     => abs_path($PostgreSQL::Test::Utils::log_path) . "/" . _test_name() . "_mongod_$name.log",
		initiated    => 0,
	};
	croak "unknown options: " . join(', ', keys %options) if %options;
	croak "replicas is 0 (a standalone server) or 1" if $replicas > 1;
	return bless $self, $class;
}

sub host        { return '127.0.0.1:' . $_[0]->{port}; }
sub port        { return $_[0]->{port}; }
sub replica_set { return $_[0]->{replica_set}; }
sub user        { return $_[0]->{user}; }
sub password    { return $_[0]->{password}; }
sub log_file    { return $_[0]->{log_file}; }
sub pid         { return $_[0]->{pid}; }

#
# Life
#

sub start
{
	my ($self) = @_;
	croak "mongod \"$self->{name}\" runs already" if $self->{pid};

	my @command = (
		find_mongod(),
		'--dbpath', $self->{data_dir}, '--port', $self->{port}, '--bind_ip', '127.0.0.1',
		'--logpath', $self->{log_file}, '--logappend', '--nounixsocket',
		'--wiredTigerCacheSizeGB', '0.5',
		'--setParameter', 'enableTestCommands=1',
		'--setParameter', 'diagnosticDataCollectionEnabled=false');
	push @command, '--replSet', $self->{replica_set} if $self->{replica_set};
	push @command, '--auth' if $self->{auth};
	push @command, '--keyFile', $self->_key_file if $self->{auth} && $self->{replica_set};
	push @command, @{ $self->{extra} };

	$self->{pid} = _spawn(@command);
	push @running, $self;

	$self->poll_until("answers", sub { $self->command('admin', [ping => 1]) });
	return $self if $self->{member};
	$self->_initiate unless $self->{initiated};
	$self->wait_for_primary;
	return $self;
}

# Until it takes writes: after a start, a stall, or a step-down.
sub wait_for_primary
{
	my ($self) = @_;
	$self->poll_until("is a writable primary",
		sub { $self->command('admin', [hello => 1])->{isWritablePrimary} });
	return;
}

sub stop
{
	my ($self) = @_;
	$self->_end('TERM');
	return;
}

sub kill9
{
	my ($self) = @_;
	$self->_end('KILL');
	return;
}

sub restart
{
	my ($self) = @_;
	$self->stop if $self->{pid};
	return $self->start;
}

# Takes connections and never answers.  It stops thread by thread, in its own time: waited for.
sub stall
{
	my ($self) = @_;
	kill 'STOP', $self->{pid};
	waitpid $self->{pid}, WUNTRACED;
	return;
}

sub continue
{
	my ($self) = @_;
	return kill 'CONT', $self->{pid};
}

#
# Work
#

# The decoded reply; dies with the server's words on an error.
sub command
{
	my ($self, $database, $command) = @_;
	my $reply = $json->decode($self->command_text($database, $command));
	die "mongod \"$self->{name}\": $reply->{error} (code $reply->{code})\n" if exists $reply->{error};
	return $reply;
}

# The reply as one line of extended JSON, error or not.
sub command_text
{
	my ($self, $database, $command) = @_;
	$command = _ordered_json($command) if ref $command;
	$command =~ s/\s*\n\s*/ /g;

	my $shell = $self->{shell} //= $self->_shell;
	print { $shell->{in} } "$database\t$command\n" or croak "could not write to mongo_command: $!";
	my $line = readline($shell->{out});
	croak "mongo_command ended" unless defined $line;
	chomp $line;
	return $line;
}

# The same server over a connection of its own, for a process that was forked.  The parent's is closed here, or it would
# not end when the parent closes it.
sub again
{
	my ($self) = @_;
	if (my $shell = $self->{shell})
	{
		close $_ for $shell->{in}, $shell->{out};
	}
	return bless { %$self, shell => undef }, ref $self;
}

sub insert
{
	my ($self, $database, $collection, @documents) = @_;
	return $self->_all_written(
		$self->command($database, qq({"insert": "$collection", "documents": [) . join(', ', @documents) . ']}'));
}

sub update
{
	my ($self, $database, $collection, $filter, $change) = @_;
	return $self->_all_written(
		$self->command($database, qq({"update": "$collection", "updates": [{"q": $filter, "u": $change, "multi": true}]})));
}

sub delete
{
	my ($self, $database, $collection, $filter) = @_;
	return $self->_all_written(
		$self->command($database, qq({"delete": "$collection", "deletes": [{"q": $filter, "limit": 0}]})));
}

# Every document that matches, decoded, in the order of the sort given (default: _id).
sub find_all
{
	my ($self, $database, $collection, $filter, $sort) = @_;
	$filter //= '{}';
	$sort   //= '{"_id": 1}';

	my $cursor = $self->command($database,
		qq({"find": "$collection", "filter": $filter, "sort": $sort, "batchSize": 1000, "allowDiskUse": true}))->{cursor};
	my @documents = @{ $cursor->{firstBatch} };
	while ($cursor->{id})
	{
		$cursor = $self->command($database, qq({"getMore": {"\$numberLong": "$cursor->{id}"}, "collection": "$collection"}))
		  ->{cursor};
		push @documents, @{ $cursor->{nextBatch} };
	}
	return @documents;
}

sub open_cursors
{
	my ($self) = @_;
	return $self->command('admin', [serverStatus => 1])->{metrics}{cursor}{open}{total};
}

# $mongo->fail_point('failCommand', '{"times": 1}', '{"failCommands": ["find"], "errorCode": 91}'); mode "off" ends it.
sub fail_point
{
	my ($self, $name, $mode, $data) = @_;
	$mode = qq("$mode") unless $mode =~ /^[{"]/;
	$data //= '{}';
	return $self->command('admin', qq({"configureFailPoint": "$name", "mode": $mode, "data": $data}));
}

# Calls until it returns true; an error counts as "not yet".
sub poll_until
{
	my ($self, $what, $condition) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	my $last     = '';

	while (time < $deadline)
	{
		my $done = eval { $condition->() };
		return 1 if $done;
		$last = $@ if $@;
		die "mongod \"$self->{name}\" ended while waited for; its log is $self->{log_file}\n"
		  if $self->{pid} && waitpid($self->{pid}, WNOHANG) == $self->{pid} && !($self->{pid} = 0);
		usleep(50_000);
	}
	die "timed out waiting until mongod \"$self->{name}\" $what; last error: $last; its log is $self->{log_file}\n";
}

# MONGOD, else PATH, else what test/support/install_dependencies.sh has unpacked.
sub find_mongod
{
	for my $candidate ($ENV{MONGOD}, (map { "$_/mongod" } split /:/, $ENV{PATH}), "$project/.work/mongod/bin/mongod")
	{
		return $candidate if $candidate && -f $candidate && -x _;
	}
	die "no mongod: set MONGOD, or run test/support/install_dependencies.sh\n";
}

#
# Inside
#

# A replica set of one; with auth, its first user, by the exception that MongoDB makes for localhost.
sub _initiate
{
	my ($self) = @_;
	if ($self->{replica_set})
	{
		my $host = $self->{known_as} // $self->host;
		$self->command('admin',
			qq({"replSetInitiate": {"_id": "$self->{replica_set}", "members": [{"_id": 0, "host": "$host"}]}}));
		$self->wait_for_primary;
	}
	if ($self->{auth})
	{
		my ($user, $password) = ('root', 'r00t:p@ss/w%rd');
		$self->command('admin', [createUser => $user, pwd => $password, roles => ['root']]);
		@$self{ 'user', 'password' } = ($user, $password);
		$self->_close_shell;
	}
	$self->{initiated} = 1;
	return;
}

sub _key_file
{
	my ($self) = @_;
	my $file = "$self->{data_dir}/key";
	unless (-f $file)
	{
		open my $handle, '>', $file or die "could not write \"$file\": $!";
		print $handle 'a key that only the members of a replica set of tests know';
		close $handle;
		chmod 0600, $file;
	}
	return $file;
}

sub _end
{
	my ($self, $signal) = @_;
	my $pid = delete $self->{pid} or return;

	kill $signal, $pid;
	kill 'CONT', $pid;    # a stalled one takes no SIGTERM
	my $deadline = time + 60;
	while (waitpid($pid, WNOHANG) == 0)
	{
		kill 'KILL', $pid if time > $deadline;
		usleep(20_000);
	}
	@running = grep { $_ != $self } @running;
	$self->_close_shell;
	return;
}

sub _all_written
{
	my ($self, $reply) = @_;
	die "mongod \"$self->{name}\": " . $json->encode($reply->{writeErrors}) . "\n" if $reply->{writeErrors};
	return $reply->{n};
}

sub _ordered_json
{
	my ($pairs) = @_;
	my @members;
	for (my $i = 0; $i < @$pairs; $i += 2)
	{
		push @members, $json->encode("$pairs->[$i]") . ': ' . $json->encode($pairs->[ $i + 1 ]);
	}
	return '{' . join(', ', @members) . '}';
}

sub _shell
{
	my ($self) = @_;
	my $program = "$project/build/mongo_command";
	die "no $program: run make -C test/support\n" unless -x $program;

	local %ENV = %ENV;
	delete @ENV{qw(MONGO_USER MONGO_PASSWORD)};
	@ENV{qw(MONGO_USER MONGO_PASSWORD)} = @$self{qw(user password)} if $self->{user};
	$ENV{MONGO_URI_OPTIONS} = $self->{uri_options};
	my $pid = open2(my $out, my $in, $program, $self->host);
	binmode $_, ':raw' for $out, $in;
	$in->autoflush(1);
	return { pid => $pid, in => $in, out => $out };
}

sub _close_shell
{
	my ($self) = @_;
	my $shell = delete $self->{shell} or return;
	close $shell->{in};
	close $shell->{out};
	waitpid $shell->{pid}, 0;
	return;
}

# mongod's own words go to its log file; what it says before it has one, to the test's log.
sub _spawn
{
	my (@command) = @_;
	my $pid = fork() // die "could not fork: $!";
	return $pid if $pid;

	open STDIN, '<', '/dev/null';
	open STDOUT, '>>', $PostgreSQL::Test::Utils::test_logfile;
	open STDERR, '>&', \*STDOUT;
	exec { $command[0] } @command or POSIX::_exit(127);
}

sub _test_name
{
	my ($name) = $0 =~ m{([^/]+?)(?:\.pl)?$};
	return $name;
}

# Not in children: they inherit @running but not the duty.
my $owner = $$;

END
{
	my $status = $?;
	if ($$ == $owner)
	{
		my @ours = @running;    # _end takes each off the list
		$_->_end('KILL') for @ours;
	}
	$? = $status;
}

1;
