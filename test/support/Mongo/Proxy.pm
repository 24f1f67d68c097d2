# Mongo::Proxy — a network that a test can cut, between a mongod and everybody who talks to it.
#
#     my $proxy = Mongo::Proxy->new;                   # listens on a free port at once
#     $proxy->lead_to($mongo->port);                   # where connections go from now on; those that are open are reset
#     $proxy->cut;                                     # resets what is open and refuses what comes
#     $proxy->hole;                                    # keeps connections open and forwards nothing: half-open
#     $proxy->drip;                                    # forwards in pieces of a few bytes, one every few milliseconds
#     $proxy->heal;
#
# A process of its own forwards; it ends with the test.  Orders go to it by a pipe and are in force when the call returns.
package Mongo::Proxy;

use strict;
use warnings FATAL => 'all';

use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(IPPROTO_TCP SOL_SOCKET SO_LINGER TCP_NODELAY);
use Time::HiRes qw(usleep);

use PostgreSQL::Test::Cluster;

my @running;
my $owner = $$;

my $drip_bytes = 37;    # no header, no length ends there

sub new
{
	my ($class) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 64, ReuseAddr => 1)
	  or die "could not listen on port $port: $!";
	pipe(my $orders_in, my $orders) or die "pipe: $!";
	pipe(my $done, my $done_out)    or die "pipe: $!";
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		close $orders;
		close $done;
		$done_out->autoflush(1);
		eval { _forward($listener, $orders_in, $done_out) };
		POSIX::_exit(0);
	}
	close $_ for $orders_in, $done_out, $listener;
	$orders->autoflush(1);
	my $self = bless { port => $port, pid => $pid, orders => $orders, done => $done }, $class;
	push @running, $self;
	return $self;
}

sub port    { return $_[0]->{port}; }
sub host    { return "127.0.0.1:$_[0]->{port}"; }
sub lead_to { return $_[0]->_order("lead $_[1]"); }
sub cut     { return $_[0]->_order('cut'); }
sub hole    { return $_[0]->_order('hole'); }
sub drip    { return $_[0]->_order('drip'); }
sub heal    { return $_[0]->_order('heal'); }

sub _order
{
	my ($self, $order) = @_;
	print { $self->{orders} } "$order\n" or die "the proxy has ended";
	defined(readline $self->{done}) or die "the proxy has ended";
	return;
}

#
# In the forwarding process
#

sub _reset
{
	my ($peers) = @_;
	for my $socket (map { $_->{socket} } values %$peers)
	{
		setsockopt $socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
		close $socket;
	}
	%$peers = ();
	return;
}

sub _drop
{
	my ($peers, $socket) = @_;
	my $peer = delete $peers->{ fileno $socket } or return;
	delete $peers->{ fileno $peer->{other} };
	close $_ for $peer->{other}, $socket;
	return;
}

sub _connect
{
	my ($peers, $client, $target) = @_;
	my $server = $target && IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $target);
	return close $client unless $server;
	$peers->{ fileno $client } = { socket => $client, other => $server };
	$peers->{ fileno $server } = { socket => $server, other => $client };
	return;
}

sub _write_all
{
	my ($socket, $data, $drip) = @_;
	my $done = 0;
	setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1 if $drip;
	while ($done < length $data)
	{
		my $left    = length($data) - $done;
		my $written = syswrite $socket, $data, $drip && $left > $drip_bytes ? $drip_bytes : $left, $done;
		usleep(2_000) if $drip;
		return unless defined $written;
		$done += $written;
	}
	return 1;
}

sub _forward
{
	my ($listener, $orders, $done) = @_;
	my ($mode, $target, %peers) = ('heal', 0);
	local $SIG{PIPE} = 'IGNORE';

	for (;;)
	{
		my @wanted = ($orders, $listener, $mode eq 'hole' ? () : map { $_->{socket} } values %peers);
		for my $ready (IO::Select->new(@wanted)->can_read)
		{
			if ($ready == $orders)
			{
				my $order = readline $orders;
				return unless defined $order;
				chomp $order;
				if ($order =~ /^lead (\d+)$/) { $target = $1; _reset(\%peers); }
				else                          { $mode = $order; _reset(\%peers) if $mode eq 'cut'; }
				print {$done} "done\n";
				last;
			}
			if ($ready == $listener)
			{
				my $client = $listener->accept or next;
				if ($mode eq 'cut') { close $client; }
				else                { _connect(\%peers, $client, $target); }
				next;
			}
			my $peer = defined fileno($ready) && $peers{ fileno $ready } or next;
			my $got  = sysread $ready, my $data, 65536;
			_drop(\%peers, $ready) unless $got && _write_all($peer->{other}, $data, $mode eq 'drip');
		}
	}
}

END
{
	my $status = $?;
	if ($$ == $owner)
	{
		kill 'KILL', $_->{pid} for @running;
		waitpid $_->{pid}, 0 for @running;
	}
	$? = $status;
}

1;
