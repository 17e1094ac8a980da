package kurrenttest

import (
	"context"
	"net"
	"strconv"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
)

// gossipServer tells clients who is in the cluster.
type gossipServer struct {
	gossip.UnimplementedGossipServer
	cluster *Cluster
}

// Read lists the nodes.
func (s *gossipServer) Read(context.Context, *shared.Empty) (*gossip.ClusterInfo, error) {
	info := &gossip.ClusterInfo{}
	for _, n := range s.cluster.nodes {
		host, port := n.endpoint()
		state := gossip.MemberInfo_Follower
		if n.leads() {
			state = gossip.MemberInfo_Leader
		}
		info.Members = append(info.Members, &gossip.MemberInfo{
			State: state, IsAlive: n.running(), HttpEndPoint: &gossip.EndPoint{Address: host, Port: port},
			TimeStamp: s.cluster.config.Now().UnixNano() / 100,
		})
	}
	return info, nil
}

func (n *Node) endpoint() (host string, port uint32) {
	host, text, err := net.SplitHostPort(n.listensAt())
	if err != nil {
		return "", 0
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0
	}
	return host, uint32(number)
}

// featuresServer says what the server can do.
type featuresServer struct {
	serverfeatures.UnimplementedServerFeaturesServer
}

// GetSupportedMethods names a version, and no method beyond those that every
// server has.
func (*featuresServer) GetSupportedMethods(context.Context, *shared.Empty) (*serverfeatures.SupportedMethods, error) {
	return &serverfeatures.SupportedMethods{EventStoreServerVersion: "24.10.0"}, nil
}
